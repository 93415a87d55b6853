// Philox4x32-10 (Salmon, Moraes, Dror, Shaw, SC 2011), bit for bit src/paths/philox.rs.
// In: counter (component / 4, purpose << 24 | draw or node, sample, k) and key (the 64-bit seed, low word first).
// Out: four random words.

const PURPOSE_EPS = 0x01000000u;
const PURPOSE_BRIDGE = 0x02000000u;

// High word of a 32 x 32 bit product; WGSL has only the low one. No partial sum reaches 2^32.
fn mul_high(a: u32, b: u32) -> u32 {
    let a_low = a & 0xffffu;
    let a_high = a >> 16u;
    let b_low = b & 0xffffu;
    let b_high = b >> 16u;
    let middle = a_high * b_low + ((a_low * b_low) >> 16u);
    let carry = (a_low * b_high + (middle & 0xffffu)) >> 16u;
    return a_high * b_high + (middle >> 16u) + carry;
}

fn philox(counter: vec4<u32>, seed: vec2<u32>) -> vec4<u32> {
    var c = counter;
    var key = seed;
    for (var round = 0u; round < 10u; round++) {
        let high0 = mul_high(0xD2511F53u, c.x);
        let high1 = mul_high(0xCD9E8D57u, c.z);
        c = vec4<u32>(high1 ^ c.y ^ key.x, 0xCD9E8D57u * c.z, high0 ^ c.w ^ key.y, 0xD2511F53u * c.x);
        key += vec2<u32>(0x9E3779B9u, 0xBB67AE85u);
    }
    return c;
}
