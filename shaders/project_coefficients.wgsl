// What Project does to a lane, as y = a u + c + b (x - mu): a = g r, b = -r^2 m2, c = -r m1 - b d, with m1, m2 the means over the
// channel's group of g u and of xh g u, xh = (x - mu - d) r, and d the mean of x - mu, which the rounding of mu leaves.
// Thread map: a team of TEAM threads per (lane of u, group of channels), which share the chunks and channels; halves of a team
// add what the other halves found. Teams beyond the last repeat it. Accuracy: f32 sums in a fixed order.
#import lib/grid.wgsl
struct Immediates {
    lanes: u32, blocks: u32,
    x_to: u32, x_from: u32,  // lanes per sample of u and of x, of which each reads the primal
    chunks: u32,             // sums of a channel
    groups: u32, size: u32,  // groups of channels, channels in each
    padding: u32,            // positions in blocks that hold no channel
    rowed: u32,              // 1 if the gain depends on the timestep
    per: f32,                // 1 / numbers of a group
}
var<immediate> im: Immediates;
#import lib/lane.wgsl
#if CPU
#import lib/cpu.wgsl
#else
#import lib/portable.wgsl
#endif
@group(0) @binding(0) var<storage, read> sums: array<f32>;               // [lane][chunks][blocks][3][4]
@group(0) @binding(1) var<storage, read> members: array<u32>;            // [groups][size] positions in blocks, then padding
@group(0) @binding(2) var<storage, read> rows: array<f32>;               // [timestep][2][channels]: g, h
@group(0) @binding(3) var<storage, read> lanes: array<Lane>;             // [lane]
@group(0) @binding(4) var<storage, read> moments: array<f32>;            // [lane of x][2][blocks][4]: mu, r
@group(0) @binding(5) var<storage, read_write> coefficients: array<f32>; // [lane][4][blocks][4]: a, c, b, mu
const TEAMS = WORKGROUP / TEAM;
#if 1 < TEAM
var<workgroup> found: array<vec3f, WORKGROUP>;
#endif

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) thread: u32) {
    let w = min(workgroup_index(id) * TEAMS + thread / TEAM, im.lanes * im.groups - 1u);
    let member = thread % TEAM;
    let lane = quotient(w, im.groups);
    let g = w - lane * im.groups;
    let width = 4u * im.blocks;
    let channels = im.groups * im.size;
    let row = lanes[lane].row * im.rowed * 2u * channels;
    var all = vec3f();
    for (var e = member; e < im.chunks * im.size; e += $(TEAM)u) {
        let chunk = quotient(e, im.size);
        let channel = g * im.size + e - chunk * im.size;
        let slot = members[channel];
        let at = ((lane * im.chunks + chunk) * im.blocks + slot / 4u) * 12u + slot % 4u;
        let gain = rows[row + channel];
        all += vec3f(gain * sums[at], gain * sums[at + 4u], sums[at + 8u]);
    }
#if 1 < TEAM
    found[thread] = all;
    workgroupBarrier();
    for (var half = $(TEAM / 2)u; half > 0u; half >>= 1u) {
        if member < half { found[thread] += found[thread + half]; }
        workgroupBarrier();
    }
    all = found[thread - member];
#endif

    let m1 = all.x * im.per;
    let d = all.z * im.per;
    let moment = 2u * (quotient(lane, im.x_to) * im.x_from) * width;
    for (var i = member; i < im.size; i += $(TEAM)u) {
        let slot = members[g * im.size + i];
        let r = moments[moment + width + slot];
        let b = -r * r * r * (all.y * im.per - d * m1);
        let out = 4u * lane * width + slot;
        coefficients[out] = rows[row + g * im.size + i] * r;
        coefficients[out + width] = -r * m1 - b * d;
        coefficients[out + 2u * width] = b;
        coefficients[out + 3u * width] = moments[moment + slot];
    }
    // The last group also clears what holds no channel.
    if g + 1u == im.groups {
        for (var i = member; i < 4u * im.padding; i += $(TEAM)u) {
            let slot = members[channels + i % im.padding];
            coefficients[4u * lane * width + i / im.padding * width + slot] = 0.0;
        }
    }
}
