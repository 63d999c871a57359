//! Parameters and FLOPs from the config alone: one function for plan, meters and bench.

use serde::{Deserialize, Serialize};

use super::decoder::ModelConfig;

/// The number of parameters: total, active and non-embedding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParamCount {
    /// All trainable parameters; a tied embedding counts once.
    pub total: u64,
    /// Tables of tokens, and of learned positions.
    pub embedding: u64,
    /// Parameters that work on any one token (all of them, unless experts are chosen).
    pub active: u64,
}

impl ParamCount {
    /// All but the tables.
    pub fn non_embedding(&self) -> u64 {
        self.total - self.embedding
    }
}

/// FLOPs per token of a training step (forward and backward), by two countings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlopCount {
    /// What is computed: no look-up, the causal half of attention, head included; backward is twice forward.
    pub exact: u64,
    /// Six per active non-embedding parameter (Kaplan et al. 2020, arXiv 2001.08361).
    pub six_n: u64,
    /// Chinchilla's own counting (Hoffmann et al. 2022, Appendix F): embedding look-up as a product, full attention
    /// matrix, softmax and head. Only for fits beside published ones.
    pub chinchilla: u64,
}

impl ModelConfig {
    /// Counts the parameters without building anything; `seq_len` matters to learned positions alone.
    pub fn num_params(&self, vocab_size: usize, seq_len: usize) -> ParamCount {
        let widths = self.widths(seq_len);
        let embedding = self.embedding.num_params(vocab_size, self.d_model)
            + self.block.mixer.position().num_params(&widths);
        let blocks = self.blocks();
        let in_blocks: u64 = blocks.iter().map(|block| block.num_params(&widths, &self.norm)).sum();
        let idle: u64 = blocks.iter().map(|block| block.idle_params(&widths)).sum();
        let total = embedding + in_blocks + self.last_norm().num_params(self.d_model);
        ParamCount { total, embedding, active: total - idle }
    }

    /// Counts the FLOPs of a training step per token, in rows of `seq_len`.
    pub fn flops_per_token(&self, vocab_size: usize, seq_len: usize) -> FlopCount {
        let widths = self.widths(seq_len);
        let blocks = self.blocks();
        let forward: u64 = blocks.iter().map(|block| block.flops_per_token(&widths)).sum();
        let scores: u64 = blocks.iter().map(|block| block.mixer.score_flops(&widths)).sum();
        let head = 2 * vocab_size as u64 * self.d_model as u64;
        let full_scores: u64 = blocks.iter().map(|block| block.mixer.full_score_flops(&widths)).sum();
        let count = self.num_params(vocab_size, seq_len);
        FlopCount {
            exact: 3 * (forward + head),
            six_n: 6 * (count.active - count.embedding),
            chinchilla: 3 * (forward - scores + full_scores + 2 * head),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::Bias;
    use crate::layers::embedding::{EmbeddingConfig, Head, TokenEmbeddingConfig};
    use crate::layers::feed_forward::{
        ExpertConfig, FeedForwardConfig, GatedMlpConfig, MlpConfig, MoeConfig,
    };
    use crate::layers::mixer::{AttentionConfig, MixerConfig, QkNormConfig};
    use crate::layers::norm::NormConfig;
    use crate::layers::position::PositionConfig;
    use crate::model::BlockConfig;
    use crate::model::norm_placement::{NormPlacement, ParallelConfig, ParallelNorms};

    /// GPT2-l-h of the knowledge capacity paper: d = 64 h, biases everywhere, tied.
    pub(crate) fn gpt2(n_layers: usize, n_heads: usize) -> ModelConfig {
        let mixer = AttentionConfig { bias: Bias::With, ..AttentionConfig::default() };
        let feed_forward = MlpConfig { bias: Bias::With, ..MlpConfig::default() };
        let mut model = ModelConfig { d_model: 64 * n_heads, n_layers, n_heads, ..ModelConfig::default() };
        model.block.mixer = MixerConfig::Attention(mixer);
        model.block.feed_forward = FeedForwardConfig::Mlp(feed_forward);
        model
    }

    /// The vocabulary of the paper's biographies.
    const V: usize = 3275;

    #[test]
    fn the_papers_models_have_the_papers_parameters() {
        let published =
            [(2, 2, 816_000), (4, 2, 1_212_544), (12, 12, 87_571_200), (2, 3, 1_518_912), (6, 4, 5_577_472)];
        for (l, h, params) in published {
            assert_eq!(gpt2(l, h).num_params(V, 512).total, params, "GPT2-{l}-{h}");
        }
    }

    #[test]
    fn flops_are_twelve_d_squared_per_layer_and_the_causal_half_of_attention() {
        let (l, d, t) = (2, 128, 512);
        let count = gpt2(2, 2).flops_per_token(V, t);
        assert_eq!(count.exact, (6 * l * 12 * d * d + 6 * l * d * t + 6 * V * d) as u64);
    }

    #[test]
    fn chinchillas_counting_has_the_scores_of_the_heads_that_there_are() {
        let (l, d, h, t) = (2, 128, 2, 16);
        let chinchilla = |mixer| {
            let mut model = gpt2(l, h);
            model.block.mixer = mixer;
            model.flops_per_token(V, t).chinchilla
        };
        let (mlp, ends) = (16 * d * d, 2 * 2 * V * d);
        let wide = |k: usize| {
            let attention = AttentionConfig { d_head: Some(k), ..AttentionConfig::default() };
            let layer = 2 * 4 * d * h * k + mlp + 4 * h * k * t + 3 * h * t;
            assert_eq!(chinchilla(MixerConfig::Attention(attention)), 3 * (l * layer + ends) as u64, "{k}");
        };
        [d / h, 96].into_iter().for_each(wide);
        let layer = 2 * 2 * d * d + mlp;
        assert_eq!(chinchilla(MixerConfig::Average(Default::default())), 3 * (l * layer + ends) as u64);
    }

    fn with(d_model: usize, n_layers: usize, n_heads: usize, block: BlockConfig, head: Head) -> ModelConfig {
        let embedding = EmbeddingConfig::Token(TokenEmbeddingConfig { head, ..Default::default() });
        let norm = NormConfig::Rms(Default::default());
        ModelConfig { d_model, n_layers, n_heads, embedding, norm, block, ..ModelConfig::default() }
    }

    #[test]
    fn published_models_have_their_published_parameters() {
        let mixer = AttentionConfig { n_kv_heads: Some(8), ..AttentionConfig::default() };
        let gated = |expansion| GatedMlpConfig { expansion, ..GatedMlpConfig::default() };
        let expert = ExpertConfig::GatedMlp(gated(3.5));
        let moe = MoeConfig { expert, n_experts: 8, top_k: 2, norm_topk_prob: true, ..MoeConfig::default() };
        let llama = BlockConfig {
            mixer: MixerConfig::Attention(mixer),
            feed_forward: FeedForwardConfig::GatedMlp(gated(3.5)),
            ..BlockConfig::default()
        };
        let mixtral = BlockConfig { feed_forward: FeedForwardConfig::Moe(moe), ..llama };
        let joint = QkNormConfig::Joint(Default::default());
        let olmo = BlockConfig {
            mixer: MixerConfig::Attention(AttentionConfig { qk_norm: joint, ..AttentionConfig::default() }),
            feed_forward: FeedForwardConfig::GatedMlp(gated(2.6875)),
            norm_placement: NormPlacement::Output,
            ..BlockConfig::default()
        };
        let (mut gpt2, neox) = (gpt2(12, 12), gpt2(12, 12).block);
        let MixerConfig::Attention(attention) = &mut gpt2.block.mixer else { panic!("GPT-2 has attention") };
        attention.position = PositionConfig::Learned;
        let own = ParallelConfig { norms: ParallelNorms::Own };
        let pythia = BlockConfig { norm_placement: NormPlacement::Parallel(own), ..neox };
        let pythia = ModelConfig { norm: NormConfig::default(), ..with(768, 12, 12, pythia, Head::Untied) };

        assert_eq!(gpt2.num_params(50257, 1024).total, 124_439_808);
        assert_eq!(pythia.num_params(50304, 2048).total, 162_322_944);
        assert_eq!(with(4096, 32, 32, llama, Head::Untied).num_params(128_256, 8192).total, 8_030_261_248);
        assert_eq!(with(4096, 32, 32, olmo, Head::Untied).num_params(100_352, 4096).total, 7_298_617_344);
        let mixtral = with(4096, 32, 32, mixtral, Head::Untied).num_params(32_000, 4096);
        assert_eq!((mixtral.total, mixtral.active), (46_702_792_704, 12_879_925_248));
    }

    #[test]
    fn a_mixture_of_32_small_experts_works_with_a_twelfth_of_its_blocks() {
        let expert = ExpertConfig::Mlp(MlpConfig { expansion: 1.0, ..MlpConfig::default() });
        let mut model = gpt2(4, 4);
        model.block.mixer = MixerConfig::default();
        model.block.feed_forward =
            FeedForwardConfig::Moe(MoeConfig { expert, n_experts: 32, ..MoeConfig::default() });
        let (d, t) = (256, 16);
        let count = model.num_params(V, t);
        let norms = (4 * 2 + 1) * 2 * d;
        assert_eq!(count.total as usize, V * d + norms + 4 * (4 * d * d + 64 * d * d + 32 * d));
        assert_eq!(count.active as usize, V * d + norms + 4 * (4 * d * d + 2 * d * d + 32 * d));
        let flops = model.flops_per_token(V, t).exact as usize;
        assert_eq!(flops, 4 * 6 * (6 * d * d + 32 * d) + 4 * 6 * d * t + 6 * V * d);
    }
}
