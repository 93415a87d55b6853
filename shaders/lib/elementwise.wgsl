// Elementwise kernels, in both families (CPU = 1 or 0): one thread per (lane, output pixel, block of 4 channels).
#import lib/grid.wgsl
#unroll cpu 0 CPU
#import lib/cpu.wgsl
#end
#unroll portable CPU 1
#import lib/portable.wgsl
#end
struct Element { lane: u32, pixel: u32, block: u32 }

fn element(group: vec3u, thread: u32, pixels: u32, blocks: u32) -> Element {
    let i = workgroup_index(group) * 256u + thread;
    let p = quotient(i, blocks);
    let lane = quotient(p, pixels);
    return Element(lane, p - lane * pixels, i - p * blocks);
}
