//! Devices that are not here, by their data sheets: what a plan would cost on them.

/// A device by its data sheet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hardware {
    /// What it is asked for by.
    pub name: &'static str,
    /// Float32 without tensor cores, in FLOPs per second: training is in that precision.
    pub peak_flops: f64,
    /// Its memory, in bytes.
    pub memory_bytes: u64,
    /// Where both numbers stand.
    pub source: &'static str,
}

/// The share of a device's peak that training is assumed to reach. It is a guess and not measured here: matrix products
/// of the size that fills a GPU reach more, steps of models below some ten million parameters far less, because their
/// time goes into starting kernels.
pub const UTILISATION: f64 = 0.25;

const fn hardware(name: &'static str, tera: f64, giga: u64, source: &'static str) -> Hardware {
    Hardware { name, peak_flops: tera * 1e12, memory_bytes: giga * 1_000_000_000, source }
}

/// What is known.
pub const KNOWN: [Hardware; 7] = [
    hardware("h200", 67.0, 141, "NVIDIA H200 Tensor Core GPU data sheet, SXM, FP32"),
    hardware("h100", 67.0, 80, "NVIDIA H100 Tensor Core GPU data sheet, SXM, FP32"),
    hardware("a100", 19.5, 80, "NVIDIA A100 80GB Tensor Core GPU data sheet, SXM, FP32"),
    hardware("l40s", 91.6, 48, "NVIDIA L40S data sheet, FP32"),
    hardware("v100", 15.7, 32, "NVIDIA V100 Tensor Core GPU data sheet, SXM2, FP32"),
    hardware("t4", 8.1, 16, "NVIDIA T4 data sheet, FP32"),
    hardware("rtx-4090", 82.6, 24, "NVIDIA Ada GPU architecture white paper, GeForce RTX 4090, FP32"),
];

impl Hardware {
    /// The device of this name, if it is known.
    pub fn named(name: &str) -> Option<Self> {
        KNOWN.into_iter().find(|known| known.name == name)
    }

    /// Seconds of so many FLOPs at the assumed utilisation.
    pub fn seconds(&self, flops: f64) -> f64 {
        flops / (self.peak_flops * UTILISATION)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_device_has_its_time() {
        let h200 = Hardware::named("h200").unwrap();
        assert!((h200.seconds(67e12) - 1.0 / UTILISATION).abs() < 1e-9);
        assert_eq!(Hardware::named("h300"), None);
    }
}
