// What a team of TEAM neighbouring threads of a workgroup of 256 finds together: sums and the largest, in a fixed tree, so that a result
// does not depend on what else runs. All threads of the workgroup ask at once, and all of a team get the answer. TEAM is a power of
// two; a team of one is a thread alone. Host: `ops::elementwise::team`.
#if TEAM == 1
fn team_sums(own: vec2f, thread: u32) -> vec2f { return own; }
fn team_most(own: f32, thread: u32) -> f32 { return own; }
#else
var<workgroup> team_found: array<vec2f, 256>;

fn team_sums(own: vec2f, thread: u32) -> vec2f {
    let member = thread % TEAM;
    team_found[thread] = own;
    workgroupBarrier();
    for (var half = $(TEAM / 2)u; half > 0u; half /= 2u) {
        if member < half { team_found[thread] += team_found[thread + half]; }
        workgroupBarrier();
    }
    let sums = team_found[thread - member];
    workgroupBarrier(); // all have read
    return sums;
}

fn team_most(own: f32, thread: u32) -> f32 {
    let member = thread % TEAM;
    team_found[thread].x = own;
    workgroupBarrier();
    for (var half = $(TEAM / 2)u; half > 0u; half /= 2u) {
        if member < half { team_found[thread].x = max(team_found[thread].x, team_found[thread + half].x); }
        workgroupBarrier();
    }
    let most = team_found[thread - member].x;
    workgroupBarrier(); // all have read
    return most;
}
#endif
