//! The device of a verb: which adapter, and what the run may take of it. In: options. Out: an open `Gpu`.
use crate::error::{Error, Result};
use crate::gpu::{AdapterChoice, Bounds, Gpu, Limits};
use crate::target::AttentionWay;
use bytesize::ByteSize;

/// The adapter, and limits lower than its own.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Device {
    /// Adapter: its number in `vorticity devices`, `software`, or part of its name; for circulation also several, such as
    /// 0,2 (the same one twice opens two devices), or `all` GPUs
    #[arg(long, value_name = "ADAPTER")]
    pub adapter: Option<String>,
    /// Memory that each plan of the run may take on the device, such as 4GiB; if not given, half of the adapter's own, or
    /// 4GiB where the driver does not say how much that is
    #[arg(long, value_name = "BYTES")]
    pub memory: Option<String>,
    /// Lower the adapter's limit on how much of a buffer a kernel sees: what is larger is cut, results stay the same
    #[arg(long, value_name = "BYTES")]
    pub binding: Option<String>,
    /// Limits and features of the device: the adapter's own, or `webgpu`, the least that any browser's adapter has; results are
    /// those of the same kernels
    #[arg(long, value_name = "LIMITS")]
    pub limits: Option<String>,
    /// Attention as one kernel without a number of every two pixels in memory (fused), or as logits, softmax and sums (apart); auto
    /// takes the faster one, by family of kernels, number of keys and width of heads
    #[arg(long, value_name = "WAY", default_value = "auto", value_parser = AttentionWay::parse)]
    pub attention: AttentionWay,
    /// Keep to kernels whose indices are checked as they run; the tuner may otherwise choose some whose indices are in
    /// place by construction, once they agreed with the checked ones
    #[arg(long)]
    pub checked: bool,
}

impl Device {
    /// Opens the one adapter.
    pub fn open(&self) -> Result<Gpu> {
        self.open_by(Gpu::open_within)
    }

    /// Opens the one adapter in this way.
    pub(super) fn open_by(&self, open: fn(&AdapterChoice, Bounds) -> Result<Gpu>) -> Result<Gpu> {
        match &self.choices()?[..] {
            [one] => Ok(self.told(open(one, self.bounds()?)?)),
            all => {
                let (text, n) = (self.adapter.as_deref().unwrap_or_default(), all.len());
                Err(Error::invalid("--adapter", format!("'{text}' is {n} adapters; only circulation runs on several")))
            }
        }
    }

    /// Opens one or several.
    pub fn open_all(&self) -> Result<Vec<Gpu>> {
        let bounds = self.bounds()?;
        let open = |choice| Ok(self.told(Gpu::open_within(choice, bounds)?));
        self.choices()?.iter().map(open).collect()
    }

    /// The device, told which kernels it may run.
    fn told(&self, gpu: Gpu) -> Gpu {
        gpu.with_attention(self.attention).checked(self.checked)
    }

    /// The adapters that are named; the best one if none is.
    fn choices(&self) -> Result<Vec<AdapterChoice>> {
        self.adapter.as_deref().map_or(Ok(vec![AdapterChoice::Best]), AdapterChoice::list)
    }

    /// The limits.
    pub fn bounds(&self) -> Result<Bounds> {
        let bytes = |name: &str, text: &Option<String>| -> Result<Option<u64>> {
            let parsed = |text: &String| text.parse::<ByteSize>().map(|b| b.as_u64()).map_err(|_| text.clone());
            text.as_ref().map(parsed).transpose().map_err(|text| {
                Error::invalid(name, format!("'{text}' is no number of bytes, expected such as 4GiB or 512MiB"))
            })
        };
        let bounds = Bounds {
            memory: bytes("--memory", &self.memory)?,
            binding: bytes("--binding", &self.binding)?,
            limits: self.limits.as_deref().map_or(Ok(Limits::Adapter), Limits::parse)?,
        };
        bounds.check()?;
        Ok(bounds)
    }
}
