// Calls kernels of a Windows library as a file lists them and writes what became of their arrays, for test_windows.py:
// replay LIBRARY CALLS ANSWERS. A call is the length of its name, the name, the number of its arguments, and of each a
// kind and 8 bytes: 0 nothing, 1 an integer, 2 a real number, 3 the length of an array, whose bytes follow.
#include <windows.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace {

constexpr size_t MOST = 48;  // arguments

// Windows hands a variadic function's first four arguments over in both kinds of registers, the others by the stack, 8
// bytes each: any kernel finds its own among them, whatever their types.
template <size_t... I>
int32_t call(FARPROC function, const double* arguments, std::index_sequence<I...>) {
    return reinterpret_cast<int32_t (*)(double, ...)>(reinterpret_cast<void*>(function))(arguments[I]...);
}

bool read(FILE* file, void* to, size_t bytes) { return !bytes || std::fread(to, bytes, 1, file) == 1; }

}  // namespace

int main(int, char** argv) {
    const HMODULE library = LoadLibraryA(argv[1]);
    if (!library) return std::fprintf(stderr, "not loaded: %lu\n", GetLastError()), 1;
    FILE* calls = std::fopen(argv[2], "rb");
    FILE* answers = std::fopen(argv[3], "wb");
    const auto ask = [&](const char* name) {
        return reinterpret_cast<int32_t (*)()>(reinterpret_cast<void*>(GetProcAddress(library, name)))();
    };
    std::printf("%d %d\n", ask("near_abi_version"), ask("near_isa"));
    for (int64_t length; read(calls, &length, 8);) {
        std::string name(length, ' ');
        int64_t count;
        if (!read(calls, &name[0], length) || !read(calls, &count, 8)) return 2;
        double arguments[MOST] = {};
        std::vector<std::vector<char>> arrays;
        for (int64_t i = 0; i < count; ++i) {
            int64_t kind, value;
            if (!read(calls, &kind, 8) || !read(calls, &value, 8)) return 2;
            if (kind == 3) {
                arrays.emplace_back(value + 1);
                if (!read(calls, arrays.back().data(), value)) return 2;
                arrays.back().pop_back();
                value = reinterpret_cast<int64_t>(arrays.back().data());
            }
            std::memcpy(&arguments[i], &value, 8);
        }
        const FARPROC function = GetProcAddress(library, name.c_str());
        if (!function) return std::fprintf(stderr, "no %s\n", name.c_str()), 3;
        const int64_t code = call(function, arguments, std::make_index_sequence<MOST>());
        std::fwrite(&code, 8, 1, answers);
        for (const std::vector<char>& array : arrays) std::fwrite(array.data(), 1, array.size(), answers);
    }
    return std::fclose(answers);
}
