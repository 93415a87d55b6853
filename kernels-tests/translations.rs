//! What wgpu hands to the compilers of each back end: a kernel's module through naga, with the options that wgpu-hal 30 sets
//! (its `vulkan/adapter.rs` and `device.rs`, `dx12/device.rs`, `metal/device.rs`). In: a module that is valid. Out: SPIR-V for
//! two kinds of drivers, MSL, HLSL; and, for `scripts/compilers`, all of it in a folder with an index.
use naga::back::{hlsl, msl, spv};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::ModuleInfo;
use naga::{AddressSpace, Module, ResourceBinding, ShaderStage, StorageAccess};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Drivers of Vulkan, of which some check the ends of buffers themselves: name, SPIR-V, who checks. Kernels with 64-bit integers
/// or cooperative matrices never meet the second: such adapters are lavapipe, or newer than it. (naga's own clamp of an image's
/// coordinates, which `cc` would meet there, is not valid SPIR-V.)
const DRIVERS: [(&str, (u8, u8), BoundsCheckPolicy); 2] =
    [("1.3, robust buffers", (1, 6), BoundsCheckPolicy::Unchecked), ("1.1", (1, 3), BoundsCheckPolicy::Restrict)];

/// Metal's language: that of macOS 12.
const METAL: (u8, u8) = (2, 4);

/// HLSL's shader models: FXC's, and the newest that DXC 1.9 makes.
const MODELS: [(&str, hlsl::ShaderModel); 2] = [("5.1", hlsl::ShaderModel::V5_1), ("6.9", hlsl::ShaderModel::V6_9)];

/// Bytes of immediates that wgpu has on DX12; kernels with more words are told them in a uniform buffer there.
pub const DX12_IMMEDIATES: usize = 128;

/// What the module asks of its device, beyond what every device has.
#[derive(Clone, Copy)]
pub struct Asks {
    pub int64: bool,
    /// Cooperative matrices, and whether they are larger than Metal's 8x8.
    pub cooperative: bool,
    pub large: bool,
}

/// HLSL, and the name of the entry point in it.
#[derive(Debug)]
pub struct Direct {
    pub text: String,
    pub entry: String,
    pub models: Vec<&'static str>,
}

/// A kernel's translations; none where the back end has no such feature.
#[derive(Debug)]
pub struct Translations {
    /// Driver, words.
    pub spirv: Vec<(&'static str, Vec<u32>)>,
    pub metal: Option<String>,
    pub direct: Option<Direct>,
}

impl Translations {
    /// The module has one compute entry point, and no overrides.
    pub fn of(module: &Module, info: &ModuleInfo, asks: Asks) -> Result<Self, String> {
        let drivers = if asks.cooperative || asks.int64 { &DRIVERS[..1] } else { &DRIVERS[..] };
        let spirv = drivers.iter().map(|driver| Ok((driver.0, vulkan(module, info, asks, driver)?)));
        Ok(Self {
            spirv: spirv.collect::<Result<_, String>>()?,
            metal: (!asks.large).then(|| metal(module, info)).transpose()?,
            direct: (!asks.cooperative).then(|| direct(module, info, asks)).transpose()?,
        })
    }
}

/// Bindings of group 0 in order: number, what it is.
fn bindings(module: &Module) -> Vec<(ResourceBinding, AddressSpace)> {
    let variables = module.global_variables.iter().filter_map(|(_, v)| Some((v.binding?, v.space)));
    let mut bindings: Vec<_> = variables.collect();
    bindings.sort_by_key(|b| (b.0.group, b.0.binding));
    bindings
}

fn writable(space: AddressSpace) -> bool {
    matches!(space, AddressSpace::Storage { access } if access.contains(StorageAccess::STORE))
}

fn has_immediates(module: &Module) -> bool {
    module.global_variables.iter().any(|(_, v)| v.space == AddressSpace::Immediate)
}

type Driver = (&'static str, (u8, u8), BoundsCheckPolicy);

fn vulkan(module: &Module, info: &ModuleInfo, asks: Asks, driver: &Driver) -> Result<Vec<u32>, String> {
    use spv::Capability as Has;
    let &(name, lang_version, buffer) = driver;
    let mut capabilities = vec![
        Has::Shader,
        Has::Matrix,
        Has::Sampled1D,
        Has::Image1D,
        Has::ImageQuery,
        Has::DerivativeControl,
        Has::StorageImageExtendedFormats,
    ];
    if asks.int64 {
        capabilities.push(Has::Int64);
    }
    if asks.cooperative {
        capabilities.extend([
            Has::GroupNonUniform,
            Has::GroupNonUniformVote,
            Has::GroupNonUniformArithmetic,
            Has::GroupNonUniformBallot,
            Has::GroupNonUniformShuffle,
            Has::GroupNonUniformShuffleRelative,
            Has::GroupNonUniformQuad,
            Has::Float16,
            Has::CooperativeMatrixKHR,
            Has::VulkanMemoryModel,
        ]);
    }
    let place = |(at, (b, _)): (usize, &(ResourceBinding, AddressSpace))| {
        (*b, spv::BindingInfo { descriptor_set: b.group, binding: at as u32, binding_array_size: None })
    };
    let options = spv::Options {
        lang_version,
        flags: spv::WriterFlags::LABEL_VARYINGS | spv::WriterFlags::FORCE_POINT_SIZE,
        capabilities: Some(capabilities.into_iter().collect()),
        bounds_check_policies: BoundsCheckPolicies {
            index: BoundsCheckPolicy::Restrict,
            buffer,
            image_load: buffer,
            binding_array: BoundsCheckPolicy::Unchecked,
        },
        binding_map: bindings(module).iter().enumerate().map(place).collect(),
        fake_missing_bindings: false,
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
        use_storage_input_output_16: asks.cooperative,
        ..Default::default()
    };
    let entry_point = module.entry_points[0].name.clone();
    let pipeline = spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point };
    spv::write_vec(module, info, &options, Some(&pipeline)).map_err(|e| format!("SPIR-V for Vulkan {name}: {e}"))
}

fn metal(module: &Module, info: &ModuleInfo) -> Result<String, String> {
    let (mut buffers, mut textures) = (0..31_u8, 0..31_u8);
    let immediates_buffer = has_immediates(module).then(|| buffers.next()).flatten();
    let mut resources = msl::BindingMap::default();
    for (binding, space) in bindings(module) {
        let mut target = msl::BindTarget { mutable: writable(space), ..Default::default() };
        match space {
            AddressSpace::Handle => target.texture = textures.next(),
            _ => target.buffer = buffers.next(),
        }
        resources.insert(binding, target);
    }
    let at = msl::EntryPointResources { resources, immediates_buffer, sizes_buffer: buffers.next() };
    let entry = module.entry_points[0].name.clone();
    let checked = BoundsCheckPolicy::Restrict;
    let options = msl::Options {
        lang_version: METAL,
        per_entry_point_map: [(entry.clone(), at)].into(),
        fake_missing_bindings: false,
        bounds_check_policies: BoundsCheckPolicies {
            index: checked,
            buffer: checked,
            image_load: checked,
            binding_array: BoundsCheckPolicy::Unchecked,
        },
        zero_initialize_workgroup_memory: false,
        ..Default::default()
    };
    let pipeline = msl::PipelineOptions { entry_point: Some((ShaderStage::Compute, entry)), ..Default::default() };
    let (text, reflected) = msl::write_string(module, info, &options, &pipeline).map_err(|e| format!("MSL: {e}"))?;
    match reflected.entry_point_names.into_iter().find_map(Result::err) {
        Some(e) => Err(format!("MSL: {e}")),
        None => Ok(text),
    }
}

/// The same text in every shader model: FXC has none with 64-bit integers, for the others it is one file.
fn direct(module: &Module, info: &ModuleInfo, asks: Asks) -> Result<Direct, String> {
    let models = if asks.int64 { &MODELS[1..] } else { &MODELS[..] };
    let mut written = models.iter().map(|model| direct_as(module, info, model.1));
    let (text, entry) = written.next().ok_or("no shader model")??;
    for other in written {
        if other?.0 != text {
            return Err("HLSL depends on the shader model".into());
        }
    }
    Ok(Direct { text, entry, models: models.iter().map(|m| m.0).collect() })
}

fn direct_as(module: &Module, info: &ModuleInfo, shader_model: hlsl::ShaderModel) -> Result<(String, String), String> {
    let registers = || (0..).map(|register| hlsl::BindTarget { register, ..Default::default() });
    let (mut constants, mut read, mut write) = (registers(), registers(), registers());
    let immediates_target = has_immediates(module).then(|| constants.next()).flatten();
    let space = immediates_target.is_some() as u8;
    let mut constants = constants.map(|target| hlsl::BindTarget { space, ..target });
    let mut binding_map = hlsl::BindingMap::default();
    for (binding, space) in bindings(module) {
        let target = match space {
            AddressSpace::Uniform => constants.next(),
            AddressSpace::Storage { .. } if !writable(space) => read.next(),
            _ => write.next(),
        };
        binding_map.extend(target.map(|target| (binding, target)));
    }
    let options = hlsl::Options {
        shader_model,
        binding_map,
        fake_missing_bindings: false,
        special_constants_binding: constants.next(),
        immediates_target,
        zero_initialize_workgroup_memory: false,
        restrict_indexing: true,
        force_loop_bounding: true,
        ..Default::default()
    };
    let entry_point = Some((ShaderStage::Compute, module.entry_points[0].name.clone()));
    let mut text = String::new();
    let mut reflected = hlsl::Writer::new(&mut text, &options, &hlsl::PipelineOptions { entry_point })
        .write(module, info, None)
        .map_err(|e| format!("HLSL: {e}"))?;
    match reflected.entry_point_names.pop() {
        Some(Ok(entry)) => Ok((text, entry)),
        Some(Err(e)) => Err(format!("HLSL: {e}")),
        None => Err("HLSL: no entry point".into()),
    }
}

/// A folder of translations, if the caller asked for one: `index.json` and the files that it names.
pub struct Folder {
    path: PathBuf,
    rows: Vec<Value>,
}

impl Folder {
    /// `VORTICITY_TRANSLATIONS` says where; it is made where it is missing.
    pub fn asked_for() -> Option<Self> {
        let path = PathBuf::from(std::env::var_os("VORTICITY_TRANSLATIONS")?);
        std::fs::create_dir_all(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        Some(Self { path, rows: vec![] })
    }

    /// Writes one kernel: its shader, its constants, its family (`webgpu` for those of `igemm` without immediates), its WGSL, what
    /// became of it.
    pub fn add(&mut self, (shader, constants): (&str, &[(&str, i64)]), family: &str, wgsl: &str, all: &Translations) {
        let name = format!("{}.{:03}", shader.replace('/', "-"), self.rows.len());
        let file = |suffix: &str, bytes: &[u8]| write(&self.path, format!("{name}.{suffix}"), bytes);
        let spirv = all.spirv.iter().enumerate().map(|(i, (driver, words))| {
            let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
            json!({"vulkan": driver, "file": file(&format!("{i}.spv"), &bytes)})
        });
        let direct = all
            .direct
            .as_ref()
            .map(|d| json!({"file": file("hlsl", d.text.as_bytes()), "entry": d.entry, "models": d.models}));
        let constants: serde_json::Map<String, Value> =
            constants.iter().map(|&(name, value)| (name.to_string(), value.into())).collect();
        let row = json!({
            "name": name,
            "shader": shader,
            "constants": constants,
            "family": family,
            "wgsl": file("wgsl", wgsl.as_bytes()),
            "spirv": spirv.collect::<Vec<_>>(),
            "metal": all.metal.as_ref().map(|text| file("metal", text.as_bytes())),
            "hlsl": direct,
        });
        self.rows.push(row);
    }

    /// Writes the index: what is there without it is not finished.
    pub fn finish(self) {
        let text = serde_json::to_vec_pretty(&self.rows).unwrap();
        write(&self.path, "index.json".into(), &text);
    }
}

fn write(folder: &Path, name: String, bytes: &[u8]) -> String {
    let path = folder.join(&name);
    std::fs::write(&path, bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    name
}
