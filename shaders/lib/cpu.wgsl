// What CPU kernels do differently from portable ones (lib/portable has the same names): a block of 4 channels is two 64-bit
// words, because CPU drivers load and store one word of one lane at a time; and integers are divided through floats,
// because CPU drivers divide integers one lane at a time.
alias Block = vec2<u64>;
alias BlockPair = vec4<u64>; // stored at one go, where there is an even number of blocks

fn packed(v: vec4f) -> vec2<u64> {
    let b = bitcast<vec4u>(v);
    return vec2<u64>(b.xz) | (vec2<u64>(b.yw) << vec2u(32u));
}

fn unpacked(v: vec2<u64>) -> vec4f {
    let low = vec2u(v);
    let high = vec2u(v >> vec2u(32u));
    return bitcast<vec4f>(vec4u(low.x, high.x, low.y, high.y));
}

// i / n, exact for i < 2^31 and a quotient below 2^23: the host keeps tiles that small on CPU adapters.
fn quotient(i: u32, n: u32) -> u32 {
    let q = i32(f32(i32(i)) / f32(i32(n)));
    let r = i32(i) - q * i32(n);
    return u32(q + select(0, 1, r >= i32(n)) - select(0, 1, r < 0));
}
