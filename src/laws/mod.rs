//! Fits of laws to measured points, in plain `f64`: how loss falls with compute, tokens, parameters and the
//! mixture.
//!
//! | file | law |
//! |---|---|
//! | [`curves`] | loss curves, where two of them cross, the lower envelope, extrapolations |
//! | [`power`] | `L = a C^b + E` |
//! | [`capacity`] | `R = (R_max^-k + c^-k)^(-1/k)`: bits of knowledge by bits that there are to know |
//! | [`speedup`] | FLOPs at equal loss, and when to grow a model |
//! | [`scaling`] | `L = E + A / N^alpha + B / D^beta` and the compute-optimal size, three ways |
//! | [`mixture`] | `L_i(r_i, s)`: loss of a domain by its share of the data, and the best shares |
//! | [`table`] | the files that all of them are fitted to |
//! | [`entropy`] | entropies of a corpus, and shares made of them |
//!
//! Every number comes with a [`bootstrap::Interval`] where the data can give one.

pub mod bootstrap;
pub mod capacity;
pub mod curves;
pub mod entropy;
mod least_squares;
mod linear;
pub mod mixture;
pub mod power;
pub mod scaling;
pub mod speedup;
pub mod table;

/// The folder of measurements that tests of the laws read, if it is there: `ABLATION_ZOO_DATA`, or
/// `../shared/data`.
#[cfg(test)]
fn measured_data(name: &str) -> Option<std::path::PathBuf> {
    let beside = || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let root = std::env::var_os("ABLATION_ZOO_DATA").map_or_else(beside, Into::into);
    let folder = root.join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: no {}", folder.display());
    None
}
