// Node i is a x_0 + 3 sigma (cos u e_0 + sin u e_1), u = 2 pi i / N. One workgroup per lane, a thread per block of 4 components.
#import lib/path.wgsl
#import lib/grid.wgsl
@group(0) @binding(0) var<storage, read> lanes: array<Lane>;           // [lane]
@group(0) @binding(1) var<storage, read> x0: array<vec4f>;             // [row][stride / 4]   clean images
@group(0) @binding(2) var<storage, read_write> x: array<vec4f>;        // [lane][stride / 4]  points
@group(0) @binding(3) var<storage, read_write> d: array<vec4f>;        // [lane][stride / 4]  steps

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let index = workgroup_index(group);
    if index >= im.lanes { return; }
    let lane = lanes[index];
    if lane.path != im.path { return; }
    for (var block = thread; block < im.stride / 4u; block += 64u) {
        let at = index * im.stride / 4u + block;
        let on = select(0.0, 3.0 * lane.sigma, block == 0u);
        let center = lane.a * x0[lane.table0 * im.stride / 4u + block];
        let first = center + on * vec4f(lane.p0, lane.p1, 0.0, 0.0);
        let second = center + on * vec4f(lane.p2, lane.p3, 0.0, 0.0);
        x[at] = without_padding(on_segment(lane, first, second), block, im.dim);
        d[at] = without_padding(second - first, block, im.dim);
    }
}
