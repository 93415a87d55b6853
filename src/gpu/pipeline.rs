//! Shader text to pipeline: naga reads the names of bindings and immediates out of the module, so that programs give both
//! by name and a name that the shader lacks is an error, not a wrong number. Pipelines are cached per kernel.
use super::device::Device;
use super::statistics::Executable;
use super::words;
use crate::error::{Error, Result};
use crate::program::{Access, Kernel};
use crate::shaders;
use crate::threads::in_parallel;
use naga::valid::Capabilities;
use std::borrow::Cow;
use std::collections::HashMap;

/// The word of a kernel's immediates that comes first and is filled in at each run.
pub(super) const LANES: &str = "lanes";

pub(super) struct Binding {
    pub name: String,
    pub number: u32,
    pub access: Access,
}

pub(super) struct Pipeline {
    pub pipeline: wgpu::ComputePipeline,
    pub layout: wgpu::BindGroupLayout,
    pub bindings: Vec<Binding>,
    /// Names of the words of `var<immediate>`.
    pub immediates: Vec<String>,
    /// The binding of the uniform buffer that has them, where they are no immediates of this device.
    pub uniform: Option<u32>,
    /// What the driver tells of it, if the device was opened for that.
    pub executables: Vec<Executable>,
}

/// Pipelines by kernel; one device's.
#[derive(Default)]
pub(super) struct Cache(HashMap<Kernel, usize>, Vec<Pipeline>);

impl Cache {
    pub fn get(&self, index: usize) -> &Pipeline {
        &self.1[index]
    }

    /// The kernel's, if it was built.
    pub fn find(&self, kernel: &Kernel) -> Option<&Pipeline> {
        self.0.get(kernel).map(|&index| self.get(index))
    }

    /// Builds those of a program's kernels that are missing, on as many threads as there are cores: almost all of a
    /// program's start is this. They come in the order of their first steps, whoever built them; so does the error.
    pub fn fill<'a>(
        &mut self,
        device: &Device,
        kernels: impl Iterator<Item = &'a Kernel>,
        own: &[(&str, &str)],
    ) -> Result<()> {
        let mut missing: Vec<&Kernel> = vec![];
        for kernel in kernels {
            if !self.0.contains_key(kernel) && !missing.contains(&kernel) {
                missing.push(kernel);
            }
        }
        let built = in_parallel(missing.len(), |i| build(device, missing[i], own));
        for (kernel, pipeline) in missing.into_iter().zip(built) {
            self.1.push(pipeline?);
            self.0.insert(kernel.clone(), self.1.len() - 1);
        }
        Ok(())
    }

    /// `own` are the program's shaders that are not in `shaders/`.
    pub fn index(&mut self, device: &Device, kernel: &Kernel, own: &[(&str, &str)]) -> Result<usize> {
        if let Some(&i) = self.0.get(kernel) {
            return Ok(i);
        }
        self.1.push(build(device, kernel, own)?);
        self.0.insert(kernel.clone(), self.1.len() - 1);
        Ok(self.1.len() - 1)
    }
}

/// A binding in a layout.
fn entry(b: &Binding) -> wgpu::BindGroupLayoutEntry {
    wgpu::BindGroupLayoutEntry {
        binding: b.number,
        visibility: wgpu::ShaderStages::COMPUTE,
        count: None,
        ty: match b.access {
            Access::Image => wgpu::BindingType::StorageTexture {
                access: wgpu::StorageTextureAccess::ReadOnly,
                format: wgpu::TextureFormat::Rgba32Float,
                view_dimension: wgpu::TextureViewDimension::D2,
            },
            access => wgpu::BindingType::Buffer {
                ty: wgpu::BufferBindingType::Storage { read_only: access == Access::Read },
                has_dynamic_offset: false,
                min_binding_size: None,
            },
        },
    }
}

pub(super) fn build(device: &Device, kernel: &Kernel, own: &[(&str, &str)]) -> Result<Pipeline> {
    let place = format!("shader {}", kernel.shader);
    let fail = |message: String| Error::Gpu { place: place.clone(), message };
    let mut text = shaders::assemble_with(kernel.shader, &kernel.constants, own)?;
    let mut module = parse(&text).map_err(fail)?;
    let (bindings, immediates) = reflect(&module).map_err(fail)?;

    let limits = &device.limits;
    let uniform = words::uniform(limits, &immediates, bindings.iter().map(|b| b.number));
    if let Some(binding) = uniform {
        text = shaders::in_uniform_buffer(&text, binding);
        module = parse(&text).map_err(fail)?;
    }
    if let Some(e) = module.entry_points.first() {
        let threads: u32 = e.workgroup_size.iter().product();
        if threads > limits.max_compute_invocations_per_workgroup {
            let most = limits.max_compute_invocations_per_workgroup;
            return Err(fail(format!("{threads} threads per workgroup, this adapter allows {most}")));
        }
    }
    let with = |source| make(device, kernel, &bindings, (uniform, &immediates), source);
    let made = device.checked(&place, || with(wgpu::ShaderSource::Naga(Cow::Owned(module))));
    // What is refused is refused once more as text, so that the error shows its lines.
    let (pipeline, layout, executables) =
        made.or_else(|_| device.checked(&place, || with(wgpu::ShaderSource::Wgsl(text.into()))))?;
    Ok(Pipeline { pipeline, layout, bindings, immediates, uniform, executables })
}

/// WGSL to naga's module, which is reflected and then compiled: it is parsed once.
fn parse(text: &str) -> std::result::Result<naga::Module, String> {
    let options = naga::front::wgsl::Options {
        parse_doc_comments: false,
        capabilities: Capabilities::IMMEDIATES
            | Capabilities::SHADER_INT64
            | Capabilities::SHADER_FLOAT16
            | Capabilities::SUBGROUP
            | Capabilities::COOPERATIVE_MATRIX,
    };
    let parsed = naga::front::wgsl::Frontend::new_with_options(options).parse(text);
    parsed.map_err(|error| error.emit_to_string(text))
}

/// The pipeline of a shader with these bindings and these immediates, which may be in a uniform buffer instead.
fn make(
    device: &Device,
    kernel: &Kernel,
    bindings: &[Binding],
    (uniform, immediates): (Option<u32>, &[String]),
    source: wgpu::ShaderSource<'_>,
) -> (wgpu::ComputePipeline, wgpu::BindGroupLayout, Vec<Executable>) {
    let (raw, label) = (&device.handle, Some(kernel.shader));
    let entries: Vec<_> = bindings.iter().map(entry).chain(uniform.map(words::entry)).collect();
    let layout = raw.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label, entries: &entries });
    let pipeline_layout = raw.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label,
        bind_group_layouts: &[Some(&layout)],
        immediate_size: if uniform.is_some() { 0 } else { words::size(immediates) },
    });
    let module = wgpu::ShaderModuleDescriptor { label, source };
    let shader = match kernel.unchecked() {
        false => raw.create_shader_module(module),
        // Safety: such kernels keep every index within its buffer and end every loop by construction: each says how.
        true => unsafe { raw.create_shader_module_trusted(module, wgpu::ShaderRuntimeChecks::unchecked()) },
    };
    let descriptor = wgpu::ComputePipelineDescriptor {
        label,
        layout: Some(&pipeline_layout),
        module: &shader,
        entry_point: Some("main"),
        // Kernels write workgroup memory before they read it.
        compilation_options: wgpu::PipelineCompilationOptions {
            zero_initialize_workgroup_memory: false,
            ..Default::default()
        },
        cache: None,
    };
    let (pipeline, executables) = device.compile(kernel, &descriptor);
    (pipeline, layout, executables)
}

/// Names of the members of a struct of words.
fn words(module: &naga::Module, of: naga::Handle<naga::Type>) -> std::result::Result<Vec<String>, String> {
    let naga::TypeInner::Struct { members, .. } = &module.types[of].inner else {
        return Err("its immediates are not a struct".into());
    };
    let word = |(i, member): (usize, &naga::StructMember)| {
        let name = member.name.clone().unwrap_or_default();
        let is_word = matches!(module.types[member.ty].inner, naga::TypeInner::Scalar(scalar) if scalar.width == 4);
        if is_word && member.offset as usize == 4 * i {
            Ok(name)
        } else {
            Err(format!("its immediate '{name}' is not one word behind the others"))
        }
    };
    members.iter().enumerate().map(word).collect()
}

/// Names, numbers and kinds of the module's bindings, and the names of its immediates.
fn reflect(module: &naga::Module) -> std::result::Result<(Vec<Binding>, Vec<String>), String> {
    let (mut bindings, mut immediates) = (vec![], vec![]);
    for (_, variable) in module.global_variables.iter() {
        let access = match variable.space {
            naga::AddressSpace::Storage { access } if access.contains(naga::StorageAccess::STORE) => Access::Write,
            naga::AddressSpace::Storage { .. } => Access::Read,
            naga::AddressSpace::Handle => Access::Image,
            naga::AddressSpace::Immediate => {
                immediates = words(module, variable.ty)?;
                continue;
            }
            _ => continue,
        };
        match (&variable.name, &variable.binding) {
            (Some(name), Some(b)) if b.group == 0 => {
                bindings.push(Binding { name: name.clone(), number: b.binding, access })
            }
            (name, _) => return Err(format!("variable {name:?} has no binding in group 0")),
        }
    }
    Ok((bindings, immediates))
}
