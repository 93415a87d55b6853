// A block of 4 channels as it is, and division as it is; lib/cpu has the same names for CPU adapters.
alias Block = vec4f;

fn packed(v: vec4f) -> Block {
    return v;
}

fn unpacked(v: Block) -> vec4f {
    return v;
}

fn quotient(i: u32, n: u32) -> u32 {
    return i / n;
}
