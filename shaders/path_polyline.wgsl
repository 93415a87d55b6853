// Polyline path: a segment's two nodes are the rows `table0` and `table0 + 1` of the table of nodes. Twin: src/paths/polyline.rs.
// Threads: one workgroup of 256 per lane (one segment), a thread takes every 256th block of 4 components.
// Writes the segment's point (lib/path) and step, 0 in the padding. Accuracy: one f32 rounding of each.
#import lib/path.wgsl
#import lib/grid.wgsl

@group(0) @binding(0) var<storage, read> lanes: array<Lane>;             // [lane]
@group(0) @binding(1) var<storage, read> nodes: array<vec4<f32>>;        // [row][stride / 4]   two rows per lane
@group(0) @binding(2) var<storage, read_write> x: array<vec4<f32>>;      // [lane][stride / 4]  points
@group(0) @binding(3) var<storage, read_write> d: array<vec4<f32>>;      // [lane][stride / 4]  steps

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let index = workgroup_index(group);
    if (index >= im.lanes) {
        return;
    }
    let lane = lanes[index];
    if (lane.path != im.path) {
        return;
    }
    let blocks = im.stride / 4u;
    for (var block = thread; block < blocks; block += 256u) {
        let first = nodes[lane.table0 * blocks + block];
        let second = nodes[(lane.table0 + 1u) * blocks + block];
        x[index * blocks + block] = without_padding(on_segment(lane, first, second), block, im.dim);
        d[index * blocks + block] = without_padding(second - first, block, im.dim);
    }
}
