//! Every shader with every specialisation that plans produce, through naga: validated and translated to SPIR-V, MSL and
//! HLSL, within the limits that any adapter has. This is what stands in for the adapters that are not at hand.
use crate::common::{every_path, families, gpu};
use crate::translations::{Asks, DX12_IMMEDIATES, Folder, Translations};
use crate::weights::{self, Stored, hyper, random};
use crate::{golden, networks};
use naga::back::pipeline_constants;
use naga::valid::{Capabilities, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator};
use naga::{AddressSpace, ShaderStage};
use std::collections::{BTreeMap, BTreeSet};
use vorticity::ceilings;
use vorticity::choice::Choices;
use vorticity::data::{Images, Levels};
use vorticity::field::{self, FIELDS, ScoreScale};
use vorticity::graph::Graph;
use vorticity::measures::circulation::{CirculationRun, Options, Quadrature};
use vorticity::ops::OPS;
use vorticity::ops::conv::VARIANTS;
use vorticity::passes::{Ports, lower};
use vorticity::paths::Lane;
use vorticity::program::{Builder, Kernel, Program, Role};
use vorticity::selftest::{VARIED, tested};
use vorticity::shaders::{SOURCES, assemble, in_uniform_buffer};
use vorticity::shape::Shape;
use vorticity::target::{KernelFamily, Target};

const STORAGE_BUFFERS: usize = 8;

/// A binding that no kernel has, for words in a uniform buffer.
const BEHIND: u32 = 100;

/// Most threads a workgroup and bytes of its memory: WebGPU's least for kernels that run anywhere, what `Gpu::family`
/// asks of software adapters for those that run there only.
fn workgroup_limits(family: KernelFamily) -> (u32, u32) {
    match family {
        KernelFamily::Gpu => (256, 16 << 10),
        KernelFamily::Cpu => (512, 32 << 10),
    }
}

/// Names of the members of `var<immediate>`.
fn immediates(module: &naga::Module) -> Vec<String> {
    let of = module.global_variables.iter().find(|(_, v)| v.space == AddressSpace::Immediate).map(|(_, v)| v.ty);
    let Some(naga::TypeInner::Struct { members, .. }) = of.map(|ty| &module.types[ty].inner) else { return vec![] };
    members.iter().filter_map(|m| m.name.clone()).collect()
}

/// What back ends make of the text, and names of immediates; or what is wrong with the text.
/// Cooperative matrices exist in SPIR-V, and those of 8x8 in MSL.
fn translate(text: &str, family: KernelFamily) -> Result<(Translations, Vec<String>), String> {
    let (cooperative, large) = (text.contains("enable wgpu_cooperative_matrix;"), text.contains("coop_mat16x16"));
    let capabilities = match family {
        _ if cooperative => {
            Capabilities::IMMEDIATES
                | Capabilities::SHADER_FLOAT16
                | Capabilities::SHADER_FLOAT16_IN_FLOAT32
                | Capabilities::SUBGROUP
                | Capabilities::COOPERATIVE_MATRIX
        }
        KernelFamily::Gpu => Capabilities::IMMEDIATES | Capabilities::SHADER_FLOAT16_IN_FLOAT32,
        KernelFamily::Cpu => {
            Capabilities::IMMEDIATES | Capabilities::SHADER_INT64 | Capabilities::SHADER_FLOAT16_IN_FLOAT32
        }
    };
    let options = naga::front::wgsl::Options { parse_doc_comments: false, capabilities };
    let module =
        naga::front::wgsl::Frontend::new_with_options(options).parse(text).map_err(|e| e.emit_to_string(text))?;
    let words = immediates(&module);
    let info = Validator::new(ValidationFlags::all(), capabilities)
        .subgroup_stages(ShaderStages::COMPUTE)
        .subgroup_operations(SubgroupOperationSet::all())
        .validate(&module)
        .map_err(|e| e.emit_to_string(text))?;

    let [entry] = &module.entry_points[..] else { return Err("not exactly one entry point".into()) };
    let stage = Some((ShaderStage::Compute, entry.name.as_str()));
    let (module, info) =
        pipeline_constants::process_overrides(&module, &info, stage, &Default::default()).map_err(|e| e.to_string())?;
    let (module, info) = (&*module, &*info);

    let threads: u32 = module.entry_points[0].workgroup_size.iter().product();
    let (most_threads, most_bytes) = workgroup_limits(family);
    if threads > most_threads {
        return Err(format!("{threads} threads a workgroup, at most {most_threads}"));
    }
    let mut layouter = naga::proc::Layouter::default();
    layouter.update(module.to_ctx()).map_err(|e| e.to_string())?;
    let spaces = || module.global_variables.iter().map(|(_, v)| v);
    let shared: u32 = spaces().filter(|v| v.space == AddressSpace::WorkGroup).map(|v| layouter[v.ty].to_stride()).sum();
    if shared > most_bytes {
        return Err(format!("{shared} bytes of workgroup memory, at most {most_bytes}"));
    }
    let buffers = spaces().filter(|v| matches!(v.space, AddressSpace::Storage { .. })).count();
    // `gpu::cooperative` asks for one more than adapters must have.
    let most = STORAGE_BUFFERS + cooperative as usize;
    if buffers > most {
        return Err(format!("{buffers} storage buffers, at most {most}"));
    }

    let checked = !text.contains(&format!("const {} = 1;\n", Kernel::UNCHECKED));
    let asks = Asks { int64: family == KernelFamily::Cpu, cooperative, large, checked };
    Ok((Translations::of(module, info, asks)?, words))
}

/// A plan of the graph, with so many tangents and cotangents a sample.
fn plan(graph: &Graph, family: KernelFamily, [tangents, cotangents]: [u32; 2], choices: Choices) -> Program {
    let target = Target { choices: choices.into(), subgroup: 32, ..Target::of(family) };
    let mut program = Builder::both(target, tangents, cotangents);
    let ports = Ports::one(
        program.buffer("x", 16, Role::Upload),
        program.buffer("y", 16, Role::Download),
        program.buffer("lanes", size_of::<Lane>() as u64, Role::Upload),
    );
    lower(graph, &[0, 3], &ports, &mut program).unwrap();
    program.finish().unwrap()
}

/// Circulation of every closed form and of a small network, as it is really run, in every family of the adapter.
fn circulations() -> Vec<(KernelFamily, Program)> {
    let folder = tempfile::tempdir().unwrap();
    let (mixture, image) = (folder.path().join("mixture.safetensors"), vec![0.5; 144]);
    let tensors = [("means", Stored::f32(&[2, 144], &[0.5; 288])), ("variances", Stored::f32(&[2], &[0.1, 0.2]))];
    weights::write(&mixture, &tensors.map(|(n, t)| (n.to_string(), t)).into());
    networks::model(folder.path());
    let spec = |name: &str| match name {
        "mixture" => format!("field:mixture?file={}", mixture.display()),
        _ => format!("field:{name}"),
    };
    let mut specs: Vec<String> = FIELDS.iter().map(|f| spec(f.0)).collect();
    specs.push(folder.path().display().to_string());

    let (gpu, shape) = (gpu(), Shape::new(1, 12, 12));
    let images = Images { shape, count: 1, values: image, levels: Levels::Real, sha256: String::new() };
    let options = |family| Options {
        paths: every_path(20 * 144),
        timesteps: vec![0, 3],
        samples: 1,
        points: 20,
        seed: 1,
        quadrature: Quadrature::Midpoint,
        quadrature_check: 0.0,
        verify_points: 0,
        tile: Some(2),
        family: Some(family),
    };
    let program = |(spec, family): (&String, KernelFamily)| {
        let field = field::open(spec, Some(shape), ScoreScale::Definition).unwrap();
        (family, CirculationRun::new(&gpu, &field, &images, options(family)).unwrap().program().clone())
    };
    families(&gpu).into_iter().flat_map(|f| specs.iter().map(move |s| (s, f))).map(program).collect()
}

/// Shader and constants to the most threads that it may use, and the names of the words that steps give it.
pub type Kernels = BTreeMap<(&'static str, Vec<(&'static str, i64)>), (KernelFamily, Vec<&'static str>)>;

/// Every kernel that some plan has.
pub fn kernels() -> Kernels {
    let mut programs = circulations();
    // The golden networks, the paper's width, and one of odd half channels; other families at several sizes.
    let sizes: [(usize, &[usize]); 2] = [(64, &[2, 4]), (20, &[1, 3])];
    let mut graphs = vec![golden::network()];
    graphs.extend(crate::budget::blocks());
    graphs.extend(crate::families::others().into_iter().map(|(_, graph)| graph));
    for (base, mults) in sizes {
        graphs.push(networks::network(&hyper(1, base, mults, 28), &random(1, base, mults)).unwrap());
    }
    // What plans alone have has no transpose.
    let own = OPS.iter().flat_map(|(_, cases)| cases()).map(|case| vorticity::selftest::graph_of(&case).unwrap());
    let transposed: Vec<Graph> = graphs.iter().cloned().chain(own).collect();
    graphs.extend(tested().flat_map(|(_, cases)| cases()).map(|case| vorticity::selftest::graph_of(&case).unwrap()));
    let halves = graphs.clone().into_iter().map(|mut graph| {
        graph.hold_f16().unwrap();
        graph
    });
    let graphs: Vec<Graph> = halves.chain(graphs).collect();
    for family in [KernelFamily::Gpu, KernelFamily::Cpu] {
        let plan = |g, directions| (family, plan(g, family, directions, Choices::default()));
        programs.extend(graphs.iter().flat_map(|g| [[0, 0], [2, 0]].map(|directions| plan(g, directions))));
        programs.extend(transposed.iter().flat_map(|g| [[0, 2], [1, 2]].map(|directions| plan(g, directions))));
    }
    let varied = tested().filter(|op| VARIED.contains(&op.0)).flat_map(|(_, cases)| cases());
    let varied: Vec<Graph> = varied
        .map(|case| vorticity::selftest::graph_of(&case).unwrap())
        .flat_map(|graph| {
            let mut half = graph.clone();
            half.hold_f16().unwrap();
            [graph, half]
        })
        .collect();
    for variant in VARIANTS {
        let plan =
            |g, directions| (KernelFamily::Gpu, plan(g, KernelFamily::Gpu, directions, Choices::always(variant.name)));
        programs.extend(varied.iter().flat_map(|g| [[0, 0], [2, 0]].map(|directions| plan(g, directions))));
    }
    for family in [KernelFamily::Gpu, KernelFamily::Cpu] {
        let probes = [ceilings::copy(family), ceilings::gemm(), ceilings::multiply_add()];
        programs.extend(probes.map(|probe| (family, probe.unwrap().program)));
    }
    let mut all = BTreeMap::new();
    for (family, program) in &programs {
        for step in program.steps() {
            let Kernel { shader, constants } = step.kernel.clone();
            let given: Vec<&str> = step.immediates.iter().map(|word| word.0).collect();
            // A kernel of both families must be fit for anywhere.
            let (strictest, words) = all.entry((shader, constants)).or_insert((*family, given.clone()));
            assert_eq!(*words, given, "{}", step.label);
            if *family == KernelFamily::Gpu {
                *strictest = KernelFamily::Gpu;
            }
        }
    }
    all
}

#[test]
fn every_specialisation_translates_to_every_back_end_and_is_given_its_words() {
    let kernels = kernels();
    assert!(kernels.len() >= SOURCES.iter().filter(|(n, _)| !n.starts_with("lib/")).count());
    let mut folder = Folder::asked_for();
    let translated = |text: &str, (shader, constants): &(&str, Vec<(&str, i64)>), family| {
        translate(text, family).unwrap_or_else(|e| panic!("{shader} {constants:?}: {e}"))
    };
    for (kernel, (family, given)) in &kernels {
        let text = assemble(kernel.0, &kernel.1).unwrap();
        let (mut all, words) = translated(&text, kernel, *family);
        assert!(words[0] == "lanes" && words[1..] == given[..], "{}: {words:?}, given {given:?}", kernel.0);
        // What adapters with fewer immediates than words have, and those with none: DX12 is one or the other.
        let anywhere = *family == KernelFamily::Gpu && all.direct.is_some();
        let uniform = anywhere.then(|| in_uniform_buffer(&text, BEHIND));
        let mut plain = uniform.as_ref().map(|text| translated(text, kernel, *family).0);
        match &mut plain {
            Some(plain) if 4 * words.len() <= DX12_IMMEDIATES => plain.direct = None,
            Some(_) => all.direct = None,
            None => {}
        }
        if let Some(folder) = &mut folder {
            folder.add((kernel.0, &kernel.1), family.name(), &text, &all);
            for (text, plain) in uniform.iter().zip(&plain) {
                folder.add((kernel.0, &kernel.1), "webgpu", text, plain);
            }
        }
    }
    if let Some(folder) = folder {
        folder.finish();
    }
}

/// Multiply-adds by staged weights between barriers.
fn segments(text: &str) -> Vec<usize> {
    text.split("workgroupBarrier();").skip(1).map(|part| 4 * part.matches("* w[").count()).collect()
}

/// Straight-line code of CPU kernels stands in segments that processors hold decoded: 1,024 multiply-adds, and before the first the bias
/// of as many as 128 sums.
#[test]
fn straight_line_code_stands_in_segments() {
    for shader in ["conv_cc", "across"] {
        let mut most = 0;
        for (name, constants) in kernels().keys().filter(|kernel| kernel.0 == shader) {
            let found = segments(&assemble(name, constants).unwrap());
            assert!(found.iter().all(|&n| n <= 1024 + 128), "{name} {constants:?}: {found:?}");
            most = most.max(found.len());
        }
        assert!(most > 2, "{shader}: {most} segments at most");
    }
}

/// Files of `shaders/` that no kernel is and none imports.
fn unreached(
    kernels: impl Iterator<Item = &'static str>,
    sources: &[(&'static str, &'static str)],
) -> Vec<&'static str> {
    let mut open: Vec<&str> = kernels.collect();
    let mut reached = BTreeSet::new();
    while let Some(name) = open.pop() {
        if reached.insert(name) {
            let text = sources.iter().find(|s| s.0 == name).map_or("", |s| s.1);
            let imports = text.lines().filter_map(|l| l.strip_prefix("#import ")?.split_whitespace().next());
            open.extend(imports.map(|i| i.trim_end_matches(".wgsl")));
        }
    }
    sources.iter().map(|s| s.0).filter(|name| !reached.contains(name)).collect()
}

#[test]
fn every_shader_file_is_used() {
    assert_eq!(unreached(kernels().keys().map(|k| k.0), SOURCES), Vec::<&str>::new());
    // Negative control.
    let sources = [("a", "#import lib/b.wgsl // why\n"), ("lib/b", ""), ("lib/c", "#import lib/b.wgsl\n"), ("d", "")];
    assert_eq!(unreached(["a"].into_iter(), &sources), ["lib/c", "d"]);
}

/// Every file of the folder is embedded.
#[test]
fn every_file_of_the_folder_is_a_source() {
    for (folder, prefix) in [("shaders", ""), ("shaders/lib", "lib/")] {
        for entry in std::fs::read_dir(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let name = format!("{prefix}{}", path.file_stem().unwrap().to_string_lossy());
                assert!(SOURCES.iter().any(|s| s.0 == name), "{name} is not in SOURCES");
            }
        }
    }
}

#[test]
fn broken_shaders_are_refused() {
    let sound = "@group(0) @binding(0) var<storage, read_write> y: array<f32>;
        var<workgroup> w: array<f32, 16>;
        @compute @workgroup_size(64) fn main(@builtin(local_invocation_index) i: u32) { w[i % 16u] = 1.0; y[i] = w[0]; }";
    translate(sound, KernelFamily::Gpu).unwrap();
    let refused = |from: &str, to: &str, names: &str| {
        assert!(sound.contains(from));
        let error = translate(&sound.replace(from, to), KernelFamily::Gpu).unwrap_err();
        assert!(error.contains(names), "'{names}' not in '{error}'");
    };
    refused("y[i] =", "z[i] =", "no definition in scope");
    refused("w[i % 16u] = 1.0", "w[i % 16u] = i", "");
    refused("workgroup_size(64)", "workgroup_size(257)", "257 threads");
    refused("array<f32, 16>", "array<f32, 4097>", "16388 bytes of workgroup memory");
    let many: String =
        (1..9).map(|i| format!("@group(0) @binding({i}) var<storage, read> b{i}: array<f32>;")).collect();
    let error = translate(&(many + sound), KernelFamily::Gpu).unwrap_err();
    assert!(error.contains("9 storage buffers"), "{error}");
}

/// A kernel that says so gets no checks, as the engine asks wgpu for it.
#[test]
fn kernels_without_checks_have_none() {
    let text = "@group(0) @binding(0) var<storage, read_write> y: array<f32, 8>;
        @compute @workgroup_size(64) fn main(@builtin(local_invocation_index) i: u32) {
            for (var k = 0u; k < i / y32(i); k++) { y[i] += 1.0; }
        }
        fn y32(i: u32) -> u32 { return u32(y[i]); }";
    let of = |text: &str| translate(text, KernelFamily::Gpu).unwrap().0;
    let (checked, bare) = (of(text), of(&format!("const UNCHECKED = 1;\n{text}")));
    for (all, has) in [(checked, true), (bare, false)] {
        let (direct, metal) = (all.direct.unwrap().text, all.metal.unwrap());
        for what in ["loop_bound", "min(", "naga_div"] {
            assert_eq!(metal.contains(what), has, "{what}: {metal}");
        }
        assert_eq!(direct.contains("loop_bound"), has, "{direct}");
        // Where the driver checks buffers itself naga checks loops and divisors only, elsewhere all of it.
        let [long, longest] = [0, 1].map(|i| all.spirv[i].1.len());
        assert_eq!(longest > long, has, "{long} and {longest} words");
    }
}

/// Registers and slots as wgpu's root signatures, descriptor sets and argument tables number them: immediates first, then each
/// kind of binding by itself.
#[test]
fn bindings_are_where_wgpu_puts_them() {
    let text = "struct I { lanes: u32, n: u32 }
        var<immediate> im: I;
        @group(0) @binding(7) var<storage, read_write> y: array<f32>;
        @group(0) @binding(1) var<storage, read> x: array<f32>;
        @group(0) @binding(2) var<storage, read> w: array<f32>;
        @compute @workgroup_size(64) fn main(@builtin(num_workgroups) c: vec3u) { y[im.n] = x[c.x] + w[im.lanes]; }";
    let all = translate(text, KernelFamily::Gpu).unwrap().0;
    let direct = all.direct.unwrap();
    let uniform = translate(&in_uniform_buffer(text, 8), KernelFamily::Gpu).unwrap().0.direct.unwrap().text;
    assert!(uniform.contains("im : register(b0)") && uniform.contains("register(b1)"), "{uniform}");
    for expected in
        ["im: register(b0)", "x : register(t0)", "w : register(t1)", "y : register(u0)", "register(b1, space1)"]
    {
        assert!(direct.text.contains(expected), "'{expected}' not in\n{}", direct.text);
    }
    assert_eq!(direct.models, ["5.1", "6.9"]);
    let metal = all.metal.unwrap();
    for expected in ["im [[buffer(0)]]", "x [[buffer(1)]]", "w [[buffer(2)]]", "y [[buffer(3)]]", "[[buffer(4)]]"] {
        assert!(metal.contains(expected), "'{expected}' not in\n{metal}");
    }
    // OpDecorate of bindings 0, 1 and 2: 4 words, opcode 71, decoration 33.
    for (driver, words) in all.spirv {
        let mut found: Vec<u32> =
            words.windows(4).filter(|w| w[0] == (4 << 16 | 71) && w[2] == 33).map(|w| w[3]).collect();
        found.sort();
        assert_eq!(found, [0, 1, 2], "{driver}");
    }
}
