//! What a driver's compiler made of kernels: registers, spills, code, in the driver's own words, and its own forms of the code where
//! it shows them (VK_KHR_pipeline_executable_properties). In: a device that was opened for it, a pipeline. Out: an `Executable` for
//! each of its parts.

/// A number of the driver's, by its own name.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistic {
    /// As the driver calls it.
    pub name: String,
    /// What the driver says that it is.
    pub description: String,
    /// True and false are 1 and 0.
    pub value: f64,
}

/// A form that the driver gave the code: an intermediate language of its own, or the assembly.
#[derive(Clone, Debug, PartialEq)]
pub struct Representation {
    /// As the driver calls it.
    pub name: String,
    /// Text.
    pub text: String,
}

/// What a pipeline consists of: one or, where drivers cut it, several.
#[derive(Clone, Debug, PartialEq)]
pub struct Executable {
    /// As the driver calls it.
    pub name: String,
    /// Threads of a subgroup.
    pub subgroup: u32,
    /// Numbers.
    pub statistics: Vec<Statistic>,
    /// Code, as text.
    pub representations: Vec<Representation>,
}

#[cfg(target_os = "linux")]
pub(super) use self::vulkan::of;

/// Nothing: this crate does not speak to Vulkan here.
#[cfg(not(target_os = "linux"))]
pub(super) fn of(_: &wgpu::Device, (): ()) -> Vec<Executable> {
    vec![]
}

#[cfg(target_os = "linux")]
mod vulkan {
    use super::{Executable, Representation, Statistic};
    use ash::{khr, vk};
    use std::ffi::CStr;

    fn text(name: Result<&CStr, std::ffi::FromBytesUntilNulError>) -> String {
        name.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// What the driver tells of a pipeline; nothing where it tells nothing.
    pub(in crate::gpu) fn of(device: &wgpu::Device, pipeline: vk::Pipeline) -> Vec<Executable> {
        if pipeline == vk::Pipeline::null() {
            return vec![]; // none was made
        }
        // Safety: the pipeline is the device's, and was made with what it is asked for.
        unsafe {
            let Some(hal) = device.as_hal::<wgpu::hal::api::Vulkan>() else { return vec![] };
            let (instance, raw) = (hal.shared_instance().raw_instance(), hal.raw_device());
            let driver = khr::pipeline_executable_properties::Device::new(instance, raw);
            let all = driver.get_pipeline_executable_properties(&vk::PipelineInfoKHR::default().pipeline(pipeline));
            let one = |(i, found): (usize, &vk::PipelineExecutablePropertiesKHR)| {
                let which = vk::PipelineExecutableInfoKHR::default().pipeline(pipeline).executable_index(i as u32);
                let statistics = driver.get_pipeline_executable_statistics(&which).unwrap_or_default();
                Executable {
                    name: text(found.name_as_c_str()),
                    subgroup: found.subgroup_size,
                    statistics: statistics.iter().map(|statistic| number(statistic)).collect(),
                    representations: representations(&driver, &which),
                }
            };
            all.unwrap_or_default().iter().enumerate().map(one).collect()
        }
    }

    /// Safety: the union's member is the one that the format names.
    unsafe fn number(found: &vk::PipelineExecutableStatisticKHR) -> Statistic {
        let value = unsafe {
            match found.format {
                vk::PipelineExecutableStatisticFormatKHR::BOOL32 => f64::from(found.value.b32),
                vk::PipelineExecutableStatisticFormatKHR::INT64 => found.value.i64 as f64,
                vk::PipelineExecutableStatisticFormatKHR::UINT64 => found.value.u64 as f64,
                _ => found.value.f64,
            }
        };
        Statistic { name: text(found.name_as_c_str()), description: text(found.description_as_c_str()), value }
    }

    /// Those that are text. Safety: as of `of`.
    unsafe fn representations(
        driver: &khr::pipeline_executable_properties::Device,
        which: &vk::PipelineExecutableInfoKHR,
    ) -> Vec<Representation> {
        let ask = driver.fp().get_pipeline_executable_internal_representations_khr;
        let mut found = unsafe { driver.get_pipeline_executable_internal_representations(which) }.unwrap_or_default();
        // The first answer has sizes, the second, given room for them, the text.
        let mut room: Vec<Vec<u8>> = found.iter().map(|form| vec![0; form.data_size]).collect();
        for (form, bytes) in found.iter_mut().zip(&mut room) {
            form.p_data = bytes.as_mut_ptr().cast();
        }
        let mut count = found.len() as u32;
        let result = unsafe { ask(driver.device(), which, &mut count, found.as_mut_ptr()) };
        if result != vk::Result::SUCCESS {
            return vec![];
        }
        let form = |(form, mut bytes): (&vk::PipelineExecutableInternalRepresentationKHR, Vec<u8>)| {
            bytes.truncate(form.data_size);
            while bytes.last() == Some(&0) {
                bytes.pop();
            }
            let text = String::from_utf8_lossy(&bytes).into_owned();
            (form.is_text != 0).then(|| Representation { name: self::text(form.name_as_c_str()), text })
        };
        found.iter().zip(room).filter_map(form).collect()
    }
}
