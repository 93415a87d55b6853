// y = x: what an adapter moves between its buffers. Thread map: one thread per two blocks of 4 numbers of one lane on CPU
// adapters (CPU = 1), which read through the image mirror as their kernels do, else per block. Exact.
#import lib/grid.wgsl
struct Immediates { lanes: u32, items: u32 } // items: threads of a lane
var<immediate> im: Immediates;
#if CPU
#import lib/image.wgsl
@group(0) @binding(0) var x: texture_storage_2d<rgba32float, read>;     // mirror of [lane][blocks]
@group(0) @binding(1) var<storage, read_write> y: array<BlockPair>;     // [lane][blocks]
#else
@group(0) @binding(0) var<storage, read> x: array<vec4f>;               // [lane][blocks]
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;         // [lane][blocks]
#endif

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let i = min(workgroup_index(group) * 256u + thread, im.lanes * im.items - 1u);
#if CPU
    y[i] = BlockPair(packed(load_x(i32(2u * i))), packed(load_x(i32(2u * i + 1u))));
#else
    y[i] = x[i];
#endif
}
