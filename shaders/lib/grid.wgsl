// Linear workgroup index of a dispatch that the host folded at 65535 workgroups in x (`program::Grid`).
fn workgroup_index(id: vec3u) -> u32 {
    return id.x + id.y * 65535u;
}
