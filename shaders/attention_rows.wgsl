// What attention's queries get of a cotangent u of its output, by head: y_i = s sum_j p_ij (u_i.v_j - a_i) k_j with a_i = u_i.z_i, z the
// output; behind it a block (a_i, ln l_i, 0, 0) of each head, l_i = sum_j e^{s_ij}, for attention_columns. As in attention, the
// powers are of s_ij less the largest so far. Thread map: lib/pairs, queries own, keys others. Accuracy: f32 sums over the keys, in order.
struct Immediates {
    lanes: u32,
    own: u32, others: u32,                                  // pixels of q and of k
    scale: f32,                                             // s
    u_stride: u32, u_first: u32, u_to: u32, u_from: u32,    // blocks per pixel, first block, lanes per sample of y and of u
    q_stride: u32, q_first: u32, q_to: u32, q_from: u32,
    k_stride: u32, k_first: u32, k_to: u32, k_from: u32,
    v_stride: u32, v_first: u32, v_to: u32, v_from: u32,
    z_stride: u32, z_first: u32, z_to: u32, z_from: u32,
    y_stride: u32, y_first: u32,
}
#import lib/pairs.wgsl
#import lib/pairs_back.wgsl
#import lib/ln.wgsl

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let t = team(group, thread);
    let u_lane = quotient(t.lane, im.u_to) * im.u_from * im.own;
    let q_lane = quotient(t.lane, im.q_to) * im.q_from * im.own;
    let z_lane = quotient(t.lane, im.z_to) * im.z_from * im.own;
    let k_lane = quotient(t.lane, im.k_to) * im.k_from * im.others;
    let v_lane = quotient(t.lane, im.v_to) * im.v_from * im.others;
    let kb = t.slice * K_SIZE;
    let vb = t.slice * V_SIZE;
#unroll p 0 POINTS
    let pixel$p = min(t.first + $(p)u, im.own - 1u);
    let q$(p)_at = (q_lane + pixel$p) * im.q_stride + im.q_first;
    let u$(p)_at = (u_lane + pixel$p) * im.u_stride + im.u_first;
    let z$(p)_at = (z_lane + pixel$p) * im.z_stride + im.z_first + t.head * V_BLOCKS;
#unroll b 0 K_SIZE
    let q$(p)_$b = im.scale * block_q(q$(p)_at, t.head, kb + $(b)u);
    var y$(p)_$b = vec4f();
#end
    var along$p = 0.0;
#unroll b 0 V_SIZE
    let u$(p)_$b = block_u(u$(p)_at, t.head, vb + $(b)u);
    along$p += dot(u$(p)_$b, only(load_z(z$(p)_at + min(vb + $(b)u, V_LAST)), vb + $(b)u, VALUES));
#end
    let a$p = of_team(vec4f(along$p), thread).x;
    var top$p = LOWEST;
    var sum$p = 0.0;
#end
    for (var j = 0u; j < im.others; j += 4u) {
        let js = four(j);
        let k_at = (k_lane + js) * im.k_stride + im.k_first;
        let v_at = (v_lane + js) * im.v_stride + im.v_first;
#unroll p 0 POINTS
        var s$p = vec4f();
        var d$p = vec4f();
#end
#unroll b 0 K_SIZE
#unroll c 0 4
        let k$(c)_$b = block_k(k_at[$c], t.head, kb + $(b)u);
#end
#unroll p 0 POINTS
        s$p += vec4f(dot(q$(p)_$b, k0_$b), dot(q$(p)_$b, k1_$b), dot(q$(p)_$b, k2_$b), dot(q$(p)_$b, k3_$b));
#end
#end
#unroll b 0 V_SIZE
#unroll c 0 4
        let v$(c)_$b = block_v(v_at[$c], t.head, vb + $(b)u);
#end
#unroll p 0 POINTS
        d$p += vec4f(dot(u$(p)_$b, v0_$b), dot(u$(p)_$b, v1_$b), dot(u$(p)_$b, v2_$b), dot(u$(p)_$b, v3_$b));
#end
#end
#unroll p 0 POINTS
        s$p = of_team(s$p, thread);
#if MASKED
        s$p = select(vec4f(LOWEST), s$p, there(j));
#endif
        let more$p = max(top$p, largest(s$p));
        let shrink$p = exp_minus_one(more$p - top$p);
        top$p = more$p;
        let e$p = exp_minus(vec4f(more$p) - s$p);
        sum$p = sum$p * shrink$p + dot(e$p, vec4f(1.0));
        d$p = e$p * (of_team(d$p, thread) - a$p);
#unroll b 0 K_SIZE
        y$(p)_$b *= shrink$p;
#unroll c 0 4
        y$(p)_$b += d$p[$c] * k$(c)_$b;
#end
#end
#end
    }
#unroll p 0 POINTS
    let y$(p)_at = (t.lane * im.own + pixel$p) * im.y_stride + im.y_first;
#unroll b 0 K_SIZE
    store(y$(p)_at + t.head * K_BLOCKS, kb + $(b)u, K_BLOCKS, (im.scale / sum$p) * y$(p)_$b);
#end
    // Each thread of a team knows these, and writes the same.
    y[y$(p)_at + HEADS * K_BLOCKS + t.head] = packed(vec4f(a$p, top$p + ln_f32(vec2f(sum$p)).x, 0.0, 0.0));
#end
}
