//! Loss on held-out text: the mean of `-ln p(token)` over tokens that training never saw.

use burn::tensor::Device;

use super::TOKENS_PER_PASS;
use super::record::{DomainLoss, Loss};
use crate::data::{Batch, Dataset};
use crate::kernels;
use crate::layers::ForwardContext;
use crate::model::Decoder;
use crate::training::fit::tensors;

/// Reads the held-out part of `data`; `None` when there is none.
pub fn measure(model: &Decoder, data: &Dataset, seq_len: usize, device: &Device) -> Option<Loss> {
    let rows = (TOKENS_PER_PASS / seq_len).max(1);
    mean(model, (0..).map_while(|index| data.held_out_batch(index, rows)), device)
}

/// Reads the held-out part of each domain of `data`; nothing when it is no mixture.
pub fn domains(model: &Decoder, data: &Dataset, seq_len: usize, device: &Device) -> Vec<DomainLoss> {
    let rows = (TOKENS_PER_PASS / seq_len).max(1);
    let of = |(domain, name)| {
        let batches = (0..).map_while(|index| data.domain_held_out_batch(domain, index, rows));
        let Loss { nats_per_token, tokens } = mean(model, batches, device)?;
        Some(DomainLoss { name, nats_per_token, tokens })
    };
    data.domains().into_iter().map(|domain| domain.name).enumerate().filter_map(of).collect()
}

/// The plain mean over domains: it asks the same of every mixture, whatever its shares.
pub fn over_domains(domains: &[DomainLoss]) -> Option<Loss> {
    let sum: f64 = domains.iter().map(|domain| domain.nats_per_token).sum();
    let tokens = domains.iter().map(|domain| domain.tokens).sum();
    (!domains.is_empty()).then(|| Loss { nats_per_token: sum / domains.len() as f64, tokens })
}

fn mean(model: &Decoder, batches: impl Iterator<Item = Batch>, device: &Device) -> Option<Loss> {
    let (mut nats, mut tokens) = (0.0, 0.0);
    for batch in batches {
        let (ids, targets, weights) = tensors(&batch, device);
        let hidden = model.hidden(ids, &mut ForwardContext::new()).flatten::<2>(0, 1); // [n, d]
        let (_, losses) = kernels::linear_cross_entropy(hidden, model.head_weight(), targets, weights);
        let losses: Vec<f32> = losses.into_data().try_into_vec().expect("losses are f32");
        nats += losses.iter().zip(&batch.weights).map(|(loss, weight)| (loss * weight) as f64).sum::<f64>();
        tokens += batch.weights.iter().map(|weight| *weight as f64).sum::<f64>();
    }
    (tokens > 0.0).then(|| Loss { nats_per_token: nats / tokens, tokens: tokens as u64 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::generated::{BracketsConfig, LanguageConfig};
    use crate::data::{CorpusConfig, DataConfig, Marker, MixtureConfig, SourceConfig};
    use crate::model::ModelConfig;

    #[test]
    fn every_domain_is_read_by_itself_and_all_count_alike() {
        let corpus = |language, held_out| {
            let config =
                CorpusConfig { language, documents: 9, length: 20, held_out, ..CorpusConfig::default() };
            SourceConfig { share: 0.5, marker: Marker::None, data: DataConfig::Corpus(config) }
        };
        let brackets = LanguageConfig::Brackets(BracketsConfig::default());
        let sources = [("a", corpus(brackets, 3)), ("b", corpus(LanguageConfig::default(), 7))];
        let sources = sources.map(|(name, source)| (name.to_string(), source)).into();
        let config = DataConfig::Mixture(MixtureConfig { sources, seq_len: 16, ..MixtureConfig::default() });
        let data = config.open(1, 1).unwrap();
        let device = crate::device::open("cpu").unwrap();
        let model = ModelConfig { d_model: 12, n_layers: 1, n_heads: 2, ..ModelConfig::default() };
        let model = model.init(data.vocab_size(), 16, 1, &device);
        let losses = domains(&model, &data, 16, &device);
        let [a, b] = &losses[..] else { panic!("two domains: {losses:?}") };
        assert_eq!((a.name.as_str(), a.tokens, b.name.as_str(), b.tokens), ("a", 59, "b", 139));
        // Fresh weights guess almost uniformly.
        let uniform = (data.vocab_size() as f64).ln();
        assert!(losses.iter().all(|loss| (loss.nats_per_token - uniform).abs() < 0.5), "{losses:?}");
        let all = over_domains(&losses).unwrap();
        assert!((all.nats_per_token - (a.nats_per_token + b.nats_per_token) / 2.0).abs() < 1e-12);
        assert_eq!((all.tokens, measure(&model, &data, 16, &device)), (198, None));
        assert_eq!(over_domains(&[]), None);
    }
}
