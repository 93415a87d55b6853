// What the kernels of attention share: places of threads, blocks of heads, sums over slices. A thread has POINTS pixels of its own, of one
// head and lane, and goes through all the others, four at a time. A head's blocks are cut into SLICES, each of them a thread's, where
// registers would not hold them: a team of threads then adds what its members make of their slices. Host: `ops::pairs`.
#import lib/grid.wgsl
var<immediate> im: Immediates; // the kernel's own
#if CPU
#import lib/cpu.wgsl
#else
#import lib/portable.wgsl
#endif
#import lib/exp.wgsl

const K_BLOCKS = (FEATURES + 3) / 4; // blocks of a head of q and k
const V_BLOCKS = (VALUES + 3) / 4;   // the same of v
const K_SIZE = (K_BLOCKS + SLICES - 1) / SLICES; // blocks of a slice
const V_SIZE = (V_BLOCKS + SLICES - 1) / SLICES;
const K_LAST = K_BLOCKS - 1;
const V_LAST = V_BLOCKS - 1;
const K_END = (HEADS * FEATURES - 1) / 4; // last block of a pixel
const V_END = (HEADS * VALUES - 1) / 4;
const TEAMS = 256 / SLICES; // of a workgroup
const LOWEST = -1e38; // twice that, and its product with 1 over ln 2, are finite

#if CPU
@group(0) @binding(0) var q: texture_storage_2d<rgba32float, read>; // mirrors
@group(0) @binding(1) var k: texture_storage_2d<rgba32float, read>;
@group(0) @binding(2) var v: texture_storage_2d<rgba32float, read>;

fn texel(i: u32) -> vec2u { return vec2u(i & 1023u, (i >> 10u) + 1u); }
fn load_q(i: u32) -> vec4f { return textureLoad(q, texel(i)); }
fn load_k(i: u32) -> vec4f { return textureLoad(k, texel(i)); }
fn load_v(i: u32) -> vec4f { return textureLoad(v, texel(i)); }
#else
@group(0) @binding(0) var<storage, read> q: array<Block>; // [lane][pixels][stride]
@group(0) @binding(1) var<storage, read> k: array<Block>;
@group(0) @binding(2) var<storage, read> v: array<Block>;

fn load_q(i: u32) -> vec4f { return q[i]; }
fn load_k(i: u32) -> vec4f { return k[i]; }
fn load_v(i: u32) -> vec4f { return v[i]; }
#endif
@group(0) @binding(3) var<storage, read_write> y: array<Block>; // [lane][pixels][stride]; heads have whole blocks

struct Team {
    lane: u32,  // of those that the dispatch is for
    head: u32,
    first: u32, // of its pixels; those beyond the last repeat it
    slice: u32, // of this thread
}

fn team(group: vec3u, thread: u32) -> Team {
    let teams = (im.own + POINTS - 1u) / POINTS;
    let i = min(workgroup_index(group) * TEAMS + thread / SLICES, im.lanes * HEADS * teams - 1u);
    let r = quotient(i, teams);
    let lane = quotient(r, HEADS);
    return Team(lane, r - lane * HEADS, POINTS * (i - r * teams), thread % SLICES);
}

// The four pixels from j on, of which those beyond the last repeat it, and which of them there are.
fn four(j: u32) -> vec4u {
    return min(vec4u(j) + vec4u(0u, 1u, 2u, 3u), vec4u(im.others - 1u));
}

fn there(j: u32) -> vec4<bool> {
    return vec4u(j) + vec4u(0u, 1u, 2u, 3u) < vec4u(im.others);
}

// Block b of a head of so many channels, without what is behind them.
fn only(v: vec4f, b: u32, size: u32) -> vec4f {
    return select(vec4f(), v, vec4u(4u * b) + vec4u(0u, 1u, 2u, 3u) < vec4u(size));
}

// Four channels of two neighbouring blocks, from component `by` of the first on.
fn shifted(a: vec4f, b: vec4f, by: u32) -> vec4f {
    let low = select(a, vec4f(a.y, a.z, a.w, b.x), by == 1u);
    let high = select(vec4f(a.z, a.w, b.x, b.y), vec4f(a.w, b.x, b.y, b.z), by == 3u);
    return select(low, high, by > 1u);
}

// Block b of a head of q, k and v, whose pixel begins at block `at`; heads lie one behind the other, channel by channel.
#if FEATURES % 4 && !(HEADS == 1)
fn block_q(at: u32, head: u32, b: u32) -> vec4f {
    let first = head * FEATURES + 4u * min(b, K_LAST);
    let next = min(first / 4u + 1u, K_END);
    return only(shifted(load_q(at + first / 4u), load_q(at + next), first % 4u), b, FEATURES);
}

fn block_k(at: u32, head: u32, b: u32) -> vec4f {
    let first = head * FEATURES + 4u * min(b, K_LAST);
    let next = min(first / 4u + 1u, K_END);
    return only(shifted(load_k(at + first / 4u), load_k(at + next), first % 4u), b, FEATURES);
}
#else
fn block_q(at: u32, head: u32, b: u32) -> vec4f {
    return only(load_q(at + head * K_BLOCKS + min(b, K_LAST)), b, FEATURES);
}

fn block_k(at: u32, head: u32, b: u32) -> vec4f {
    return only(load_k(at + head * K_BLOCKS + min(b, K_LAST)), b, FEATURES);
}
#endif
#if VALUES % 4 && !(HEADS == 1)
fn block_v(at: u32, head: u32, b: u32) -> vec4f {
    let first = head * VALUES + 4u * min(b, V_LAST);
    let next = min(first / 4u + 1u, V_END);
    return only(shifted(load_v(at + first / 4u), load_v(at + next), first % 4u), b, VALUES);
}
#else
fn block_v(at: u32, head: u32, b: u32) -> vec4f {
    return only(load_v(at + head * V_BLOCKS + min(b, V_LAST)), b, VALUES);
}
#endif

#if SLICES == 1
fn of_team(part: vec4f, thread: u32) -> vec4f {
    return part;
}
#else
var<workgroup> parts: array<vec4f, 256>;

// The sum of what the team's threads have, in order; of all threads at once.
fn of_team(part: vec4f, thread: u32) -> vec4f {
    parts[thread] = part;
    workgroupBarrier();
    let first = thread / SLICES * SLICES;
    var sum = vec4f();
    for (var i = 0u; i < SLICES; i++) {
        sum += parts[first + i];
    }
    workgroupBarrier();
    return sum;
}
#endif

// Stores a block of y, if there is one: the last slice may have fewer than others.
fn store(at: u32, block: u32, blocks: u32, result: vec4f) {
#if SLICES == 1
    y[at + block] = packed(result);
#else
    if block < blocks {
        y[at + block] = packed(result);
    }
#endif
}

fn largest(v: vec4f) -> f32 {
    return max(max(v.x, v.y), max(v.z, v.w));
}

fn exp_minus_one(z: f32) -> f32 {
    return exp_minus(vec4f(z)).x;
}
