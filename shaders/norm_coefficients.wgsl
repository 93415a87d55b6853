// What GroupNorm does to a lane, as y = a x + c + b x0, x0 being the primal's x: a = g r, c = h - g r mu, b = 0 for values
// (mu, r = 1 / sqrt(var + eps) of the channel's group, g and h gain and shift); for tangents a = g r, b = -g r^2 m2,
// c = -g r (m1 - mu r m2), m1 and m2 the means over the group of x' and of (x0 - mu) r x'. With MOMENTS = 1: mu and r alone.
// Thread map: a team of TEAM threads per (lane of the part, group of channels), which share the chunks and channels; halves of a team
// merge what the other halves found. Teams beyond the last repeat it. Accuracy: means and deviations are merged in a fixed order
// by Chan's update, whose terms are all positive.
#import lib/grid.wgsl
#import lib/norm.wgsl
#import lib/lane.wgsl
#if CPU
#import lib/cpu.wgsl
#else
#import lib/portable.wgsl
#endif
#import lib/part.wgsl
@group(0) @binding(0) var<storage, read> sums: array<f32>;               // [lane of the part][chunks][blocks][2][4]
@group(0) @binding(1) var<storage, read> members: array<u32>;            // [groups][size] positions in blocks, then padding
@group(0) @binding(4) var<storage, read_write> moments: array<f32>;      // [sample][2][blocks][4]: mu, r
#if !MOMENTS
@group(0) @binding(2) var<storage, read> rows: array<f32>;               // [timestep][2][channels]: g, h
@group(0) @binding(3) var<storage, read> lanes: array<Lane>;             // [lane]
@group(0) @binding(5) var<storage, read_write> coefficients: array<f32>; // [lane][3][blocks][4]: a, c, b
#endif
const TEAMS = WORKGROUP / TEAM;
#if 1 < TEAM
var<workgroup> found: array<vec3f, WORKGROUP>;                           // count, mean, deviations; or two sums
#endif

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) thread: u32) {
    let w = min(workgroup_index(id) * TEAMS + thread / TEAM, im.lanes * im.groups - 1u);
    let member = thread % TEAM;
    let q = quotient(w, im.groups);
    let g = w - q * im.groups;
    var all = vec3f();
    for (var e = member; e < im.chunks * im.size; e += $(TEAM)u) {
        let chunk = quotient(e, im.size);
        let slot = members[g * im.size + e - chunk * im.size];
        let at = ((q * im.chunks + chunk) * im.blocks + slot / 4u) * 8u + slot % 4u;
        let count = f32(min(im.chunk, im.pixels - chunk * im.chunk));
        all = merged(all, vec3f(count, sums[at], sums[at + 4u]));
    }
#if 1 < TEAM
    found[thread] = all;
    workgroupBarrier();
    for (var half = $(TEAM / 2)u; half > 0u; half >>= 1u) {
        if member < half { found[thread] = merged(found[thread], found[thread + half]); }
        workgroupBarrier();
    }
    all = found[thread - member];
#endif

    let lane = lane_of(q);
    let sample = sample_of(q);
    let width = 4u * im.blocks;
    let channels = im.groups * im.size;
#if !MOMENTS
    let row = lanes[lane].row * im.rowed * 2u * channels;
#endif
    for (var i = member; i < im.size; i += $(TEAM)u) {
        let slot = members[g * im.size + i];
        let moment = 2u * sample * width + slot;
#if !MOMENTS
        let gain = rows[row + g * im.size + i];
        let out = 3u * lane * width + slot;
#endif
#if SLOPED
        let mu = moments[moment];
        let r = moments[moment + width];
        let m1 = all.y / all.x;
        let m2 = all.z / all.x;
        coefficients[out] = gain * r;
        coefficients[out + width] = -gain * r * (m1 - mu * r * m2);
        coefficients[out + 2u * width] = -gain * r * r * m2;
#else
        let r = 1.0 / sqrt(all.z / all.x + im.epsilon);
        moments[moment] = all.y;
        moments[moment + width] = r;
#if !MOMENTS
        coefficients[out] = gain * r;
        coefficients[out + width] = rows[row + channels + g * im.size + i] - gain * r * all.y;
        coefficients[out + 2u * width] = 0.0;
#endif
#endif
    }
    // The last group also clears what holds no channel.
    if g + 1u == im.groups {
        for (var i = member; i < 3u * im.padding; i += $(TEAM)u) {
            let slot = members[channels + i % im.padding];
#if !MOMENTS
            coefficients[3u * lane * width + i / im.padding * width + slot] = 0.0;
#endif
            if i < 2u * im.padding { moments[2u * sample * width + i / im.padding * width + slot] = 0.0; }
        }
    }
}

fn merged(a: vec3f, b: vec3f) -> vec3f {
    let n = a.x + b.x;
#if SLOPED
    return vec3f(n, a.y + b.y, a.z + b.z);
#else
    let gap = b.y - a.y;
    let share = b.x / max(n, 1.0);
    return vec3f(n, a.y + gap * share, a.z + b.z + gap * gap * a.x * share);
#endif
}
