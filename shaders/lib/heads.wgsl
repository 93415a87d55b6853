// Heads whose channels do not begin at a multiple of 4, so that a block of 4 channels may belong to several of them: single
// channels of x and z, and which of a block's channels a head has. Host: `ops::heads::aligned`.

// Which channels of block b lie in first..end.
fn inside(b: u32, first: u32, end: u32) -> vec4<bool> {
    let channel = vec4u(4u * b) + vec4u(0u, 1u, 2u, 3u);
    return (channel >= vec4u(first)) & (channel < vec4u(end));
}

// The channel of x whose pixel begins at block `at`.
fn channel_x(at: u32, channel: u32) -> f32 {
    return load(at + channel / 4u)[channel % 4u];
}
