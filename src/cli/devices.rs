//! `zoo devices`: what `--device` can name on this machine.

use ablation_zoo::device::Available;
use ablation_zoo::{Result, device, kernels};
use clap::Args;
use serde_json::json;

use super::{Format, output};

/// Arguments of `zoo devices`.
#[derive(Debug, Args)]
pub struct Devices {
    #[command(flatten)]
    format: Format,
}

impl Devices {
    /// Prints the devices.
    pub fn run(&self) -> Result<()> {
        let devices = device::available();
        let level = kernels::level().name();
        if self.format.json {
            return output::print_json(&json!({"devices": devices, "kernels": level}));
        }
        let width = devices.iter().map(|device| device.name.chars().count()).max().unwrap_or(0);
        let row = |device: &Available| format!("{:<width$}  {}\n", device.name, device.description);
        let mut text: String = devices.iter().map(row).collect();
        let pairs = match kernels::has_bf16_dot() {
            true => "bf16 by an instruction for pairs",
            false => "bf16 without an instruction for it: no faster than f32",
        };
        text.push_str(&format!("\nkernels on the CPU: {level}, {pairs}\n"));
        output::print(&text)
    }
}
