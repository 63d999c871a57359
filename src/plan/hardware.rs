//! Devices by their data sheets: the estimated cost of a plan on a device that this machine does not have.

use crate::kernels::Precision;

/// A device by its data sheet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hardware {
    /// The name on the command line.
    pub name: &'static str,
    /// The peak in float32 without tensor cores, in FLOPs per second.
    pub peak_flops: f64,
    /// The dense bfloat16 peak with float32 accumulation, in FLOPs per second; `None` where it has none.
    pub peak_bf16: Option<f64>,
    /// The memory of the device, in bytes.
    pub memory_bytes: u64,
    /// The data sheet that both numbers are from.
    pub source: &'static str,
}

/// The share of a device's peak that training is assumed to reach. This is an assumption, not a measurement: matrix products
/// of the size that fills a GPU reach more, steps of models below some ten million parameters far less, because their
/// time goes into starting kernels.
pub const UTILISATION: f64 = 0.25;

const fn hardware(
    name: &'static str,
    tera: f64,
    tera_bf16: Option<f64>,
    giga: u64,
    source: &'static str,
) -> Hardware {
    let peak_bf16 = match tera_bf16 {
        Some(tera) => Some(tera * 1e12),
        None => None,
    };
    Hardware { name, peak_flops: tera * 1e12, peak_bf16, memory_bytes: giga * 1_000_000_000, source }
}

/// The known devices.
pub const KNOWN: [Hardware; 7] = [
    hardware("h200", 67.0, Some(989.0), 141, "NVIDIA H200 Tensor Core GPU data sheet, SXM"),
    hardware("h100", 67.0, Some(989.0), 80, "NVIDIA H100 Tensor Core GPU data sheet, SXM"),
    hardware("a100", 19.5, Some(312.0), 80, "NVIDIA A100 80GB Tensor Core GPU data sheet, SXM"),
    hardware("l40s", 91.6, Some(362.0), 48, "NVIDIA L40S data sheet"),
    hardware("v100", 15.7, None, 32, "NVIDIA V100 Tensor Core GPU data sheet, SXM2"),
    hardware("t4", 8.1, None, 16, "NVIDIA T4 data sheet"),
    hardware("rtx-4090", 82.6, Some(165.2), 24, "NVIDIA Ada GPU architecture white paper, GeForce RTX 4090"),
];

impl Hardware {
    /// The device of this name, if it is known.
    pub fn named(name: &str) -> Option<Self> {
        KNOWN.into_iter().find(|known| known.name == name)
    }

    /// FLOPs per second in a precision; that of float32 where it has none of its own.
    pub fn peak(&self, precision: Precision) -> f64 {
        match precision {
            Precision::F32 => self.peak_flops,
            Precision::Bf16 => self.peak_bf16.unwrap_or(self.peak_flops),
        }
    }

    /// Seconds of so many FLOPs at the assumed utilisation.
    pub fn seconds(&self, flops: f64, precision: Precision) -> f64 {
        flops / (self.peak(precision) * UTILISATION)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_device_has_its_time() {
        let h200 = Hardware::named("h200").unwrap();
        assert!((h200.seconds(67e12, Precision::F32) - 1.0 / UTILISATION).abs() < 1e-9);
        assert!((h200.seconds(989e12, Precision::Bf16) - 1.0 / UTILISATION).abs() < 1e-9);
        let t4 = Hardware::named("t4").unwrap();
        assert_eq!(t4.seconds(1e12, Precision::Bf16), t4.seconds(1e12, Precision::F32));
        assert_eq!(Hardware::named("h300"), None);
    }
}
