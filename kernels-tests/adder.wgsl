// y = x + add, one number per lane.
struct Immediates { lanes: u32, add: u32 }
var<immediate> im: Immediates;
@group(0) @binding(0) var<storage, read> x: array<f32>;       // [lane]
@group(0) @binding(1) var<storage, read_write> y: array<f32>; // [lane]

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
    if id.x < im.lanes {
        y[id.x] = x[id.x] + f32(im.add);
    }
}
