// Attention, by head: y_i = sum_j p_ij v_j, p_ij = e^{s_ij} / l_i, s_ij = s q_i.k_j, l_i = sum_j e^{s_ij}; no p lies in memory. The powers
// are of s_ij less the largest so far, and what was summed shrinks where that grows (arXiv 1805.02867, 2205.14135).
// Tangents, with SLOPED = 1: y'_i = (sum_j e_ij (s'_ij v_j + v'_j) - c_i y_i) / l_i, c_i = sum_j e_ij s'_ij, s'_ij = s (q'_i.k_j + q_i.k'_j);
// the y of their primals was stored before. Thread map: lib/pairs, queries own, keys others. Accuracy: f32 sums over the keys, in order.
struct Immediates {
#import lib/attention_immediates.wgsl
}
#import lib/pairs.wgsl
#import lib/part.wgsl

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let t = team(group, thread);
    let lane = lane_of(t.lane);
    let primal = quotient(lane, im.group) * im.group;
    let kb = t.slice * K_SIZE;
    let vb = t.slice * V_SIZE;
#unroll p 0 POINTS
    let pixel$p = min(t.first + $(p)u, im.own - 1u);
    let q$(p)_at = (primal * im.own + pixel$p) * im.q_stride + im.q_first;
#unroll b 0 K_SIZE
    let q$(p)_$b = im.scale * block_q(q$(p)_at, t.head, kb + $(b)u);
#end
#if SLOPED
    let r$(p)_at = (lane * im.own + pixel$p) * im.q_stride + im.q_first;
#unroll b 0 K_SIZE
    let r$(p)_$b = im.scale * block_q(r$(p)_at, t.head, kb + $(b)u);
#end
    var c$p = 0.0;
#endif
    var top$p = LOWEST;
    var sum$p = 0.0;
#unroll b 0 V_SIZE
    var y$(p)_$b = vec4f();
#end
#end
    for (var j = 0u; j < im.others; j += 4u) {
        let js = four(j);
        let k_at = (primal * im.others + js) * im.k_stride + im.k_first;
        let v_at = (primal * im.others + js) * im.v_stride + im.v_first;
#if SLOPED
        let l_at = (lane * im.others + js) * im.k_stride + im.k_first;
        let w_at = (lane * im.others + js) * im.v_stride + im.v_first;
#endif
#unroll p 0 POINTS
        var s$p = vec4f();
        var d$p = vec4f();
#end
#unroll b 0 K_SIZE
#unroll c 0 4
        let k$(c)_$b = block_k(k_at[$c], t.head, kb + $(b)u);
#if SLOPED
        let l$(c)_$b = block_k(l_at[$c], t.head, kb + $(b)u);
#endif
#end
#unroll p 0 POINTS
        s$p += vec4f(dot(q$(p)_$b, k0_$b), dot(q$(p)_$b, k1_$b), dot(q$(p)_$b, k2_$b), dot(q$(p)_$b, k3_$b));
#if SLOPED
        d$p += vec4f(dot(r$(p)_$b, k0_$b), dot(r$(p)_$b, k1_$b), dot(r$(p)_$b, k2_$b), dot(r$(p)_$b, k3_$b));
        d$p += vec4f(dot(q$(p)_$b, l0_$b), dot(q$(p)_$b, l1_$b), dot(q$(p)_$b, l2_$b), dot(q$(p)_$b, l3_$b));
#endif
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
#if SLOPED
        d$p = e$p * of_team(d$p, thread);
        c$p = c$p * shrink$p + dot(d$p, vec4f(1.0));
#endif
#end
#unroll b 0 V_SIZE
#unroll c 0 4
        let v$(c)_$b = block_v(v_at[$c], t.head, vb + $(b)u);
#if SLOPED
        let w$(c)_$b = block_v(w_at[$c], t.head, vb + $(b)u);
#endif
#end
#unroll p 0 POINTS
        y$(p)_$b *= shrink$p;
#unroll c 0 4
#if SLOPED
        y$(p)_$b += d$p[$c] * v$(c)_$b;
        y$(p)_$b += e$p[$c] * w$(c)_$b;
#else
        y$(p)_$b += e$p[$c] * v$(c)_$b;
#endif
#end
#end
#end
    }
#unroll p 0 POINTS
    let out$p = im.y_first + t.head * V_BLOCKS;
    let y$(p)_at = (lane * im.own + pixel$p) * im.y_stride + out$p;
#if SLOPED
    let y$(p)_of = (primal * im.own + pixel$p) * im.y_stride + out$p;
#endif
#unroll b 0 V_SIZE
#if SLOPED
    let z$(p)_$b = unpacked(y[y$(p)_of + min(vb + $(b)u, V_LAST)]);
    store(y$(p)_at, vb + $(b)u, V_BLOCKS, (y$(p)_$b - c$p * z$(p)_$b) / sum$p);
#else
    store(y$(p)_at, vb + $(b)u, V_BLOCKS, y$(p)_$b / sum$p);
#endif
#end
#end
}
