// What Python asks before it binds a kernel: the ABI version and the best instruction set of this machine.
#include "api.h"
#include "threads.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

NEAR_EXPORT int32_t near_abi_version() { return NEAR_ABI_VERSION; }

NEAR_EXPORT int64_t near_thread_count() { return near_kernels::thread_count(0); }

// What processor and system support: 0 baseline (x86-64-v2, or NEON), 1 avx2 (x86-64-v3), 2 avx512 (x86-64-v4).
NEAR_EXPORT int32_t near_isa() {
#if defined(__x86_64__)
    unsigned a, b, c, d, a7, b7, c7, d7;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !__get_cpuid_count(7, 0, &a7, &b7, &c7, &d7)) return 0;
    const auto all = [](unsigned word, unsigned bits) { return (word & bits) == bits; };
    if (!all(c, bit_OSXSAVE | bit_AVX | bit_FMA | bit_F16C | bit_MOVBE)) return 0;
    unsigned low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    if (!all(low, 0x06) || !all(b7, bit_AVX2 | bit_BMI | bit_BMI2)) return 0;
    if (!__get_cpuid(0x80000001, &a, &b, &c, &d) || !all(c, bit_LZCNT)) return 0;
    if (!all(low, 0xE6) || !all(b7, bit_AVX512F | bit_AVX512BW | bit_AVX512CD | bit_AVX512DQ | bit_AVX512VL)) return 1;
    return 2;
#else
    return 0;
#endif
}

// 1 where the avx512 kernels may use the matrix unit (AMX): the processor has it with bfloat16 products, and Linux
// grants its registers, which a process has to ask for. Other systems are not asked.
NEAR_EXPORT int32_t near_amx() {
#if defined(__x86_64__) && defined(__linux__)
    constexpr unsigned AMX_BF16 = 1u << 22, AMX_TILE = 1u << 24;
    constexpr long REQUEST_STATE = 0x1023, TILE_DATA = 18;
    unsigned a, b, c, d;
    if (near_isa() < 2 || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || ~d & (AMX_BF16 | AMX_TILE)) return 0;
    return syscall(SYS_arch_prctl, REQUEST_STATE, TILE_DATA) == 0;
#else
    return 0;
#endif
}
