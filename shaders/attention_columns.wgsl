// What attention's keys and values get of a cotangent u of its output, by head: x_j = s sum_i d_ij q_i and, behind all heads' x, y_j = sum_i p_ij u_i,
// with p_ij = e^{s q_i.k_j - b_i} and d_ij = p_ij (u_i.v_j - a_i), a_i and b_i as attention_rows left them in z, a block of each head.
// Thread map: lib/pairs, keys own, queries others. Accuracy: f32 sums over the queries, in order.
struct Immediates {
    lanes: u32,
    own: u32, others: u32,                                  // pixels of k and of q
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

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let t = team(group, thread);
    let u_lane = quotient(t.lane, im.u_to) * im.u_from * im.others;
    let q_lane = quotient(t.lane, im.q_to) * im.q_from * im.others;
    let z_lane = quotient(t.lane, im.z_to) * im.z_from * im.others;
    let k_lane = quotient(t.lane, im.k_to) * im.k_from * im.own;
    let v_lane = quotient(t.lane, im.v_to) * im.v_from * im.own;
    let kb = t.slice * K_SIZE;
    let vb = t.slice * V_SIZE;
#unroll p 0 POINTS
    let pixel$p = min(t.first + $(p)u, im.own - 1u);
    let k$(p)_at = (k_lane + pixel$p) * im.k_stride + im.k_first;
    let v$(p)_at = (v_lane + pixel$p) * im.v_stride + im.v_first;
#unroll b 0 K_SIZE
    let k$(p)_$b = im.scale * block_k(k$(p)_at, t.head, kb + $(b)u);
    var x$(p)_$b = vec4f();
#end
#unroll b 0 V_SIZE
    let v$(p)_$b = block_v(v$(p)_at, t.head, vb + $(b)u);
    var y$(p)_$b = vec4f();
#end
#end
    for (var i = 0u; i < im.others; i += 4u) {
        let is = four(i);
        let q_at = (q_lane + is) * im.q_stride + im.q_first;
        let u_at = (u_lane + is) * im.u_stride + im.u_first;
        let z_at = (z_lane + is) * im.z_stride + im.z_first + t.head;
#unroll c 0 4
        let z$c = load_z(z_at[$c]);
#end
        let a = vec4f(z0.x, z1.x, z2.x, z3.x);
        let b = vec4f(z0.y, z1.y, z2.y, z3.y);
#unroll p 0 POINTS
        var s$p = vec4f();
        var d$p = vec4f();
#end
#unroll b 0 K_SIZE
#unroll c 0 4
        let q$(c)_$b = block_q(q_at[$c], t.head, kb + $(b)u);
#end
#unroll p 0 POINTS
        s$p += vec4f(dot(k$(p)_$b, q0_$b), dot(k$(p)_$b, q1_$b), dot(k$(p)_$b, q2_$b), dot(k$(p)_$b, q3_$b));
#end
#end
#unroll b 0 V_SIZE
#unroll c 0 4
        let u$(c)_$b = block_u(u_at[$c], t.head, vb + $(b)u);
#end
#unroll p 0 POINTS
        d$p += vec4f(dot(v$(p)_$b, u0_$b), dot(v$(p)_$b, u1_$b), dot(v$(p)_$b, u2_$b), dot(v$(p)_$b, u3_$b));
#end
#end
#unroll p 0 POINTS
        s$p = exp_minus(b - of_team(s$p, thread));
#if MASKED
        s$p = select(vec4f(), s$p, there(i));
#endif
        d$p = s$p * (of_team(d$p, thread) - a);
#unroll b 0 K_SIZE
#unroll c 0 4
        x$(p)_$b += d$p[$c] * q$(c)_$b;
#end
#end
#unroll b 0 V_SIZE
#unroll c 0 4
        y$(p)_$b += s$p[$c] * u$(c)_$b;
#end
#end
#end
    }
#unroll p 0 POINTS
    let y$(p)_at = (t.lane * im.own + pixel$p) * im.y_stride + im.y_first;
#unroll b 0 K_SIZE
    store(y$(p)_at + t.head * K_BLOCKS, kb + $(b)u, K_BLOCKS, im.scale * x$(p)_$b);
#end
#unroll b 0 V_SIZE
    store(y$(p)_at + HEADS * K_BLOCKS + t.head * V_BLOCKS, vb + $(b)u, V_BLOCKS, y$(p)_$b);
#end
#end
}
