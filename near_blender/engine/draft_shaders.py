"""The shaders of a draft, in GLSL, for Blender's gpu module; it translates them for Metal and Vulkan."""

from __future__ import annotations

from typing import Any

LAMPS = 32

_FRAME = f"""struct Frame {{
  mat4 projection;  /* world to clip */
  mat4 back;        /* clip to world */
  mat4 to_map;      /* world to the map of the World */
  vec4 eye;         /* where the view looks from; w: 0 where it looks along one direction, which xyz is then */
  vec4 sky[9];      /* light of the World by direction, spherical harmonics */
  vec4 lamps[{LAMPS * 4}];  /* each: position, kind; axis, 1 / area; color, shares; cosines of a spot's edge */
  vec4 count;       /* lamps; strength of the backdrop; exposure */
}};
"""

_SURFACE_VERTEX = """
void main() {
  vec4 world = model * vec4(position, 1.0);
  place = world.xyz;
  mat3 turn = mat3(model);
  facing = determinant(turn) == 0.0 ? turn * normal : transpose(inverse(turn)) * normal;
  uv = at;
  tint = color;
  gl_Position = frame.projection * world;
}
"""

_SURFACE_FRAGMENT = """
vec3 sky_light(vec3 n) {
  vec3 d = (frame.to_map * vec4(n, 0.0)).xyz;
  vec3 sum = frame.sky[0].rgb + frame.sky[1].rgb * d.y + frame.sky[2].rgb * d.z + frame.sky[3].rgb * d.x
      + frame.sky[4].rgb * d.x * d.y + frame.sky[5].rgb * d.y * d.z + frame.sky[6].rgb * (3.0 * d.z * d.z - 1.0)
      + frame.sky[7].rgb * d.x * d.z + frame.sky[8].rgb * (d.x * d.x - d.y * d.y);
  return max(sum, vec3(0.0));
}

void main() {
  vec3 n = normalize(facing);
  vec3 toward = frame.eye.w == 0.0 ? -frame.eye.xyz : normalize(frame.eye.xyz - place);
  if (dot(n, toward) < 0.0) { n = -n; }
  vec3 base = tint * base_opacity.rgb;
  if (look.z > 0.5) { base *= texture(picture, uv).rgb; }
  float rough = max(look.x, 0.05), metal = look.y;
  vec3 diffuse = base * (1.0 - metal), shine = mix(vec3(0.04), base, metal);
  vec3 light = diffuse * sky_light(n) + shine * sky_light(reflect(-toward, n));
  for (int i = 0; i < int(frame.count.x); i++) {
    vec4 a = frame.lamps[4 * i], b = frame.lamps[4 * i + 1], c = frame.lamps[4 * i + 2], e = frame.lamps[4 * i + 3];
    vec3 way = a.w > 2.5 ? -b.xyz : a.xyz - place;
    float far = a.w > 2.5 ? 1.0 : max(dot(way, way), 1e-4);
    vec3 l = normalize(way);
    float falling = dot(l, n), cone = dot(-l, b.xyz);
    if (falling <= 0.0) { continue; }
    float share = a.w < 0.5 || a.w > 2.5 ? 1.0 : (a.w > 1.5 ? max(cone, 0.0) : smoothstep(e.x, e.y, cone));
    vec3 arrives = c.rgb * (share * falling / far);
    vec3 h = normalize(l + toward);
    float power = 2.0 / pow(rough, 4.0) - 2.0 + 1e-3;
    float lobe = (power + 2.0) / 8.0 * pow(max(dot(n, h), 0.0), power);
    light += arrives * (diffuse / 3.14159265 + shine * min(lobe, 1e3) / 3.14159265);
  }
  result = vec4((light * base_opacity.a + glow.rgb) * frame.count.z, base_opacity.a) * (1.0 - look.w);
}
"""

_FULL_VERTEX = """
void main() {
  uv = 0.5 * corner + 0.5;
  gl_Position = vec4(corner, 0.0, 1.0);
}
"""

_BACKDROP_FRAGMENT = """
void main() {
  vec4 near = frame.back * vec4(2.0 * uv - 1.0, -1.0, 1.0), away = frame.back * vec4(2.0 * uv - 1.0, 1.0, 1.0);
  vec3 d = frame.eye.w == 0.0 ? frame.eye.xyz : normalize(away.xyz / away.w - near.xyz / near.w);
  d = normalize((frame.to_map * vec4(d, 0.0)).xyz);
  vec2 where = vec2(0.5 - atan(d.y, d.x) / 6.28318531, 0.5 + asin(clamp(d.z, -1.0, 1.0)) / 3.14159265);
  result = vec4(textureLod(picture, where, 0.0).rgb * frame.count.y, 1.0);
}
"""

_LAYER_FRAGMENT = """
void main() {
  result = texture(picture, uv);
  ivec2 size = textureSize(depth, 0);
  float away = texelFetch(depth, min(ivec2(uv * vec2(size)), size - 1), 0).r;
  if (result.a <= 0.0) { discard; }
  float z = span.z > 0.5 ? span.x * away + span.y : (span.y - span.x * away) / away;
  gl_FragDepth = away <= 0.0 ? 1.0 : clamp(0.5 * z + 0.5, 0.0, 1.0);
}
"""


def _start(vertex: str, fragment: str, inputs: list[tuple[str, str]], between: list[tuple[str, str]]) -> Any:
    import gpu  # refused in background before Blender 5.2
    types: Any = gpu.types
    info, carried = types.GPUShaderCreateInfo(), types.GPUStageInterfaceInfo("near_draft_varying")
    for slot, (kind, name) in enumerate(inputs):
        info.vertex_in(slot, kind, name)
    for kind, name in between:
        carried.smooth(kind, name)
    info.vertex_out(carried)
    info.fragment_out(0, "VEC4", "result")
    info.vertex_source(vertex)
    info.fragment_source(fragment)
    return info


def make_surface_shader() -> Any:
    """Draws vertices of surfaces.COLUMNS. Push constants: model, base_opacity, look (roughness, metallic, textured,
    a hole) and glow; uniform block frame; texture picture."""
    info = _start(_SURFACE_VERTEX, _SURFACE_FRAGMENT,
                  [("VEC3", "position"), ("VEC3", "normal"), ("VEC2", "at"), ("VEC3", "color")],
                  [("VEC3", "place"), ("VEC3", "facing"), ("VEC2", "uv"), ("VEC3", "tint")])
    for kind, name in (("MAT4", "model"), ("VEC4", "base_opacity"), ("VEC4", "look"), ("VEC4", "glow")):
        info.push_constant(kind, name)
    return _finish(info, has_frame=True)


def make_backdrop_shader() -> Any:
    """Fills the screen with the World's map: uniform block frame, texture picture."""
    return _finish(_start(_FULL_VERTEX, _BACKDROP_FRAGMENT, [("VEC2", "corner")], [("VEC2", "uv")]), has_frame=True)


def make_layer_shader() -> Any:
    """Puts a picture at its depth. span: how the depth in metres becomes a clip coordinate, and whether the view is
    orthographic; textures picture and depth."""
    info = _start(_FULL_VERTEX, _LAYER_FRAGMENT, [("VEC2", "corner")], [("VEC2", "uv")])
    info.push_constant("VEC4", "span")
    info.sampler(1, "FLOAT_2D", "depth")
    if hasattr(info, "depth_write"):  # OpenGL, all that there is before, does without
        info.depth_write("ANY")
    return _finish(info)


def _finish(info: Any, has_frame: bool = False) -> Any:
    import gpu
    info.sampler(0, "FLOAT_2D", "picture")
    if has_frame:
        info.typedef_source(_FRAME)
        info.uniform_buf(0, "Frame", "frame")
    return gpu.shader.create_from_info(info)
