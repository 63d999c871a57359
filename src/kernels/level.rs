//! Which form of the kernels runs on this machine: the vector width of the fast forms, or the reference forms.

use std::sync::OnceLock;

use crate::error::{Error, Problem, Result, variable};

/// Environment variable that forces a [`Level`]; read once.
pub const VARIABLE: &str = "ABLATION_ZOO_KERNELS";

/// The form of the kernels on the CPU; results may differ in the last bits between levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Plain tensor code everywhere; the only level without the Flex backend.
    Reference,
    /// Fast forms in code that runs on every processor.
    Portable,
    /// Fast forms for 64-bit ARM, four numbers at a time.
    Neon,
    /// Fast forms with AVX2 and FMA, eight numbers at a time.
    Avx2,
    /// Fast forms with AVX-512, sixteen numbers at a time.
    Avx512,
}

impl Level {
    /// Every level, narrowest first.
    pub const ALL: [Level; 5] = [Level::Reference, Level::Portable, Level::Neon, Level::Avx2, Level::Avx512];

    /// The name in `ABLATION_ZOO_KERNELS` and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Level::Reference => "reference",
            Level::Portable => "portable",
            Level::Neon => "neon",
            Level::Avx2 => "avx2",
            Level::Avx512 => "avx512",
        }
    }

    /// Whether this machine and this build can run it.
    pub fn is_available(self) -> bool {
        match self {
            Level::Reference => true,
            Level::Portable => cfg!(feature = "flex"),
            Level::Neon => cfg!(feature = "flex") && cfg!(target_arch = "aarch64"),
            Level::Avx2 => cfg!(feature = "flex") && has_avx2(),
            Level::Avx512 => cfg!(feature = "flex") && has_avx512(),
        }
    }
}

/// The level that runs: the widest available, or the one that `ABLATION_ZOO_KERNELS` names.
///
/// # Panics
/// When the variable names no level that this machine can run; a command checks it first with [`parse_level`].
pub fn level() -> Level {
    static LEVEL: OnceLock<Level> = OnceLock::new();
    *LEVEL.get_or_init(|| {
        let wanted = variable(VARIABLE).and_then(|wanted| parse_level(wanted.as_deref()));
        wanted.unwrap_or_else(|error| panic!("{error}"))
    })
}

/// The level that `wanted` names, or the widest available when it is `None` or empty.
///
/// # Errors
/// A name that is no level, or a level that this machine cannot run.
pub fn parse_level(wanted: Option<&str>) -> Result<Level> {
    let available = || Level::ALL.into_iter().filter(|level| level.is_available());
    match wanted {
        None | Some("") => Ok(available().max().unwrap_or(Level::Reference)),
        Some(name) => available().find(|level| level.name() == name).ok_or_else(|| {
            let names: Vec<_> = available().map(Level::name).collect();
            Error::config(
                Problem::new(format!("no kernels named \"{name}\" on this machine"))
                    .key(VARIABLE)
                    .expected(format!("one of {}", names.join(", "))),
            )
        }),
    }
}

#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
}

#[cfg(target_arch = "x86_64")]
fn has_avx512() -> bool {
    has_avx2() && is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq")
}

/// Whether products in bf16 take one instruction for two multiply-adds: at [`Level::Avx512`], where the processor has it.
#[cfg(target_arch = "x86_64")]
pub fn has_bf16_dot() -> bool {
    level() == Level::Avx512 && is_x86_feature_detected!("avx512bf16")
}

/// Whether products in bf16 take one instruction for two multiply-adds.
#[cfg(not(target_arch = "x86_64"))]
pub fn has_bf16_dot() -> bool {
    false
}

#[cfg(not(target_arch = "x86_64"))]
fn has_avx2() -> bool {
    false
}

#[cfg(not(target_arch = "x86_64"))]
fn has_avx512() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_found_by_its_name_and_an_unknown_name_lists_the_choices() {
        assert_eq!(parse_level(Some("reference")).unwrap(), Level::Reference);
        let error = parse_level(Some("sse9")).unwrap_err().to_string();
        assert!(error.starts_with("ABLATION_ZOO_KERNELS: no kernels named \"sse9\""), "{error}");
        assert!(error.contains("reference"), "{error}");
    }

    #[test]
    fn the_widest_available_level_is_the_default() {
        let widest = parse_level(None).unwrap();
        assert!(widest.is_available());
        assert!(Level::ALL.into_iter().all(|level| level <= widest || !level.is_available()));
    }
}
