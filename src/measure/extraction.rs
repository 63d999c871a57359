//! What a model has stored of people about whom nobody asked in training, and can be asked for all the same.
//!
//! The check of arXiv 2404.05405, Appendix A.2, after Allen-Zhu and Li 2023 (arXiv 2309.14316): the model is taught to
//! answer questions about some people, and asked about the others. An answer is right when every one of its tokens is
//! the most probable one given the tokens before it, which is to say that greedy text would be this answer.

use std::ops::Range;

use burn::tensor::{Device, Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::TOKENS_PER_PASS;
use super::capacity::chosen;
use super::record::MeasureConfig;
use super::sequences::Sequences;
use crate::data::questions::Form;
use crate::data::{Dataset, Fact, Texts};
use crate::layers::ForwardContext;
use crate::model::{Adapted, Decoder};
use crate::training::QuestionsAdapt;

/// Shares of right answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Extraction {
    /// About people whom nobody asked about in training.
    pub accuracy: f64,
    /// About people who were asked about.
    pub asked_accuracy: f64,
    /// Values of the people nobody asked about that the model, before it was taught to answer, goes on with in a text
    /// like those it was trained on: there is hardly more to extract.
    pub recited: f64,
    /// People who were not asked about, and are now.
    pub people: u64,
    /// Parameters that were trained to answer.
    pub trained_params: u64,
    /// The same for each attribute, in the data's order.
    pub attributes: Vec<AttributeAnswers>,
}

/// Shares of right answers about one attribute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttributeAnswers {
    /// For instance `birth city`.
    pub name: String,
    /// About people whom nobody asked about in training.
    pub accuracy: f64,
    /// About people who were asked about.
    pub asked_accuracy: f64,
    /// Values that the model goes on with in a text of the training kind, before it was taught to answer.
    pub recited: f64,
}

/// Tokens, and where in them stands what the model should have said itself.
type Row = (Vec<u32>, Vec<Range<usize>>);

/// Asks about both halves; `None` where nobody can be asked about.
pub fn measure(
    model: &Adapted,
    data: &Dataset,
    questions: &QuestionsAdapt,
    config: &MeasureConfig,
    device: &Device,
) -> Option<Extraction> {
    let (information, n) = (data.information()?, data.askable()?);
    let asked = questions.n_asked(information.people);
    let others: Vec<u64> =
        chosen(information.people - asked, config.people).into_iter().map(|person| asked + person).collect();
    let merged = model.merged();
    let taught = right_answers(&merged, data, &chosen(asked, config.people), n, device);
    let extracted = right_answers(&merged, data, &others, n, device);
    let recited = right_values(&model.base, data, &others, n, config, device);
    let attributes = (0..n).map(|k| AttributeAnswers {
        name: information.attributes[k].name.clone(),
        accuracy: extracted[k],
        asked_accuracy: taught[k],
        recited: recited[k],
    });
    let mean = |shares: &[f64]| shares.iter().sum::<f64>() / n as f64;
    Some(Extraction {
        accuracy: mean(&extracted),
        asked_accuracy: mean(&taught),
        recited: mean(&recited),
        people: others.len() as u64,
        trained_params: model.trained_params(),
        attributes: attributes.collect(),
    })
}

/// The share of right answers per attribute, of the first `n`.
fn right_answers(model: &Decoder, data: &Dataset, people: &[u64], n: usize, device: &Device) -> Vec<f64> {
    let row = |person: u64, attribute: usize| -> Row {
        let (mut tokens, answer) = data.question(person, attribute, Form::Turned);
        let place = tokens.len()..tokens.len() + answer.len();
        tokens.extend(&answer);
        (tokens, vec![place])
    };
    let each = (0..n).map(|attribute| {
        let rows: Vec<Row> = people.iter().map(|&person| row(person, attribute)).collect();
        let right = said(model, &rows, device).into_iter().flatten().filter(|right| *right).count();
        right as f64 / people.len() as f64
    });
    each.collect()
}

/// The share of values per attribute, of the first `n`, that the model goes on with in a text about the person.
fn right_values(
    model: &Decoder,
    data: &Dataset,
    people: &[u64],
    n: usize,
    config: &MeasureConfig,
    device: &Device,
) -> Vec<f64> {
    let config = MeasureConfig { texts: Texts::default(), ..*config };
    let (mut rows, mut attributes): (Vec<Row>, Vec<usize>) = (Vec::new(), Vec::new());
    for sequence in Sequences::new(data, people, 0, &config) {
        let spans = sequence.scored.into_iter().flat_map(|(_, spans)| spans);
        let values = spans.filter_map(|span| match span.fact {
            Fact::Value(k) if k < n => Some((k, span.range)),
            Fact::Value(_) | Fact::Name => None,
        });
        let (asked, ranges): (Vec<usize>, Vec<Range<usize>>) = values.unzip();
        attributes.extend(asked);
        rows.push((sequence.tokens, ranges));
    }
    let mut right = vec![0u64; n];
    let said = said(model, &rows, device).into_iter().flatten();
    said.zip(attributes).for_each(|(said, k)| right[k] += u64::from(said));
    right.into_iter().map(|right| right as f64 / people.len() as f64).collect()
}

/// Of every range of every row, whether each of its tokens is the most probable one after those before it.
fn said(model: &Decoder, rows: &[Row], device: &Device) -> Vec<Vec<bool>> {
    let mut said = Vec::with_capacity(rows.len());
    let mut rest = rows;
    while !rest.is_empty() {
        let (mut taken, mut longest) = (0, 0);
        for (tokens, _) in rest {
            longest = longest.max(tokens.len());
            if taken > 0 && longest * (taken + 1) > TOKENS_PER_PASS {
                break;
            }
            taken += 1;
        }
        let (group, others) = rest.split_at(taken);
        said.extend(said_in_group(model, group, device));
        rest = others;
    }
    said
}

fn said_in_group(model: &Decoder, rows: &[Row], device: &Device) -> Vec<Vec<bool>> {
    let t = rows.iter().map(|(tokens, _)| tokens.len() - 1).max().unwrap_or(0);
    let mut ids = vec![0i32; rows.len() * t];
    let mut places: Vec<i32> = Vec::new();
    for (row, (tokens, ranges)) in rows.iter().enumerate() {
        for (place, token) in tokens[..tokens.len() - 1].iter().enumerate() {
            ids[row * t + place] = *token as i32;
        }
        places
            .extend(ranges.iter().flat_map(|range| range.clone()).map(|place| (row * t + place - 1) as i32));
    }
    let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [rows.len(), t]), device);
    let n = places.len();
    let places = Tensor::<1, Int>::from_data(TensorData::new(places, [n]), device);
    let hidden = model.hidden(ids, &mut ForwardContext::new()).flatten::<2>(0, 1).select(0, places); // [n, d]
    let logits = hidden.matmul(model.head_weight().transpose()); // [n, v]
    let mut best = logits.argmax(1).into_data().iter::<i64>().collect::<Vec<_>>().into_iter();
    let mut is_said = |tokens: &[u32], range: &Range<usize>| {
        let same = tokens[range.clone()].iter().map(|token| best.next() == Some(i64::from(*token)));
        same.fold(true, |all, same| all & same)
    };
    rows.iter().map(|(tokens, ranges)| ranges.iter().map(|range| is_said(tokens, range)).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{BioDConfig, DataConfig};
    use crate::model::variants;

    #[test]
    fn an_answer_is_right_when_greedy_text_would_be_the_same() {
        let device = crate::device::open("cpu").unwrap();
        let model = variants::base().init(9, 12, 3, &device);
        let greedy = |prompt: &[u32], n: usize| -> Vec<u32> {
            let mut tokens = prompt.to_vec();
            for _ in 0..n {
                let ids: Vec<i32> = tokens.iter().map(|&token| token as i32).collect();
                let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [1, tokens.len()]), &device);
                let logits = model.logits(ids).slice([0..1, tokens.len() - 1..tokens.len()]);
                let best = logits.argmax(2).into_data().iter::<i64>().next().unwrap();
                tokens.push(best as u32);
            }
            tokens
        };
        let (long, short) = (greedy(&[0, 3, 5], 4), greedy(&[0, 7], 2));
        let mut wrong = short.clone();
        wrong[2] = (wrong[2] + 1) % 9;
        let whole = 2..4;
        let rows: Vec<Row> = vec![
            (long.clone(), vec![3..5, 5..7]),
            (short.clone(), vec![whole]),
            (wrong.clone(), vec![2..3, 1..2]),
        ];
        let alone = |row: &Row| said_in_group(&model, std::slice::from_ref(row), &device).remove(0);
        let together = said(&model, &rows, &device);
        assert_eq!(together[..2], [vec![true, true], vec![true]]);
        assert!(!together[2][0]);
        assert_eq!(together, rows.iter().map(alone).collect::<Vec<_>>(), "rows do not touch each other");
    }

    #[test]
    fn a_model_that_knows_nothing_answers_nothing_and_its_people_are_all_counted() {
        let device = crate::device::open("cpu").unwrap();
        let config = DataConfig::BioD(BioDConfig { people: 30, ..BioDConfig::default() });
        let data = config.open(2, 1).unwrap();
        let (model, vocab_size) = (variants::base(), data.vocab_size());
        let questions = QuestionsAdapt { asked: 0.3, ..QuestionsAdapt::default() };
        let base = model.init(vocab_size, config.seq_len(), 1, &device);
        let places = questions.lora.places(&model, vocab_size, config.seq_len());
        let adapted = Adapted::new(base, places, 1, &device);
        let found = measure(&adapted, &data, &questions, &MeasureConfig::default(), &device).unwrap();
        assert_eq!((found.people, found.attributes.len()), (21, 4));
        assert!(found.accuracy < 0.05 && found.asked_accuracy < 0.05 && found.recited < 0.05, "{found:?}");
        assert_eq!(found.attributes[3].name, "attribute 4");
    }
}
