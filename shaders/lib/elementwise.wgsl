// Which element a thread of an elementwise kernel handles: one thread per (lane, output pixel, block of 4 channels).
#import lib/grid.wgsl
struct Element { lane: u32, pixel: u32, block: u32 }

fn element(group: vec3u, thread: u32, pixels: u32, blocks: u32) -> Element {
    let i = workgroup_index(group) * 256u + thread;
    let p = i / blocks;
    return Element(p / pixels, p % pixels, i % blocks);
}
