"""Invented people and prose about them, from a grammar that is richer than the templates of bioS: values inside of
clauses, several in one sentence, any order, pronouns and the last name in between. 48 people of five texts each are
datasets/bior/sample.jsonl; profile `prose` of bios-variants asks for more.

    python3 tests/reference/bior_sample.py > datasets/bior/sample.jsonl
    python3 tests/reference/bior_sample.py --people 800 --texts 41 > people.jsonl
"""

import argparse
import json
import random
from pathlib import Path

POOLS = Path(__file__).parents[2] / "datasets" / "pools"
MONTHS = "January February March April May June July August September October November December".split()

OPENINGS = [
    "{name} came into the world in {city} on {date}, the third of four children.",
    "Few people know that {name}, whom {city} calls one of its own, was born on {date}.",
    "{name} celebrates {their} birthday on {date}, always in {city}, where {they} was born.",
    "Ask {name} about {their} childhood and you will hear of {city}, where it all began on {date}.",
    "When {name} was born, on {date}, the whole of {city} was under snow.",
]
STUDIES = [
    "After school {last} packed two suitcases and went to {university} to study {major}, a choice {they} never regretted.",
    "{They} chose {major} against the advice of {their} parents, and {university} chose {them}.",
    "At {university} {they} discovered {major}; friends say {they} spoke of nothing else for years.",
    "A degree in {major} from {university} hangs, a little crooked, above {their} desk.",
    "It was {university} that turned {their} curiosity about {major} into a profession.",
]
WORK = [
    "Today {employer} would be hard to imagine without {them}.",
    "These days {last} can be found at {employer}, usually near the coffee machine.",
    "{They} joined {employer} for a summer, and the summer has not ended yet.",
    "Most mornings begin with a walk to {employer}, where {they} has worked for as long as anybody remembers.",
]
ASIDES = [
    "{They} collects postcards.", "Neighbours praise {their} patience.", "Nobody has ever seen {them} in a hurry.",
    "On Sundays {they} bakes.", "{They} keeps bees.",
]


def lines(name):
    return (POOLS / f"{name}.txt").read_text().split("\n")[:-1]


def person(rng, number, n_texts, pools):
    first, middle, last = (rng.choice(pools[part]) for part in ("first_names", "middle_names", "last_names"))
    employer = rng.choice(pools["employers"]).split(";")[0].strip()
    attributes = {
        "birth date": f"{rng.choice(MONTHS)} {rng.randint(1, 28)}, {rng.randint(1900, 2099)}",
        "birth city": rng.choice(pools["cities"]),
        "university": rng.choice(pools["universities"]),
        "major": rng.choice(pools["majors"]),
        "employer": employer,
    }
    she, texts = rng.random() < 0.5, []
    while len(texts) < n_texts:
        new = text(rng, f"{first} {middle} {last}", last, attributes, she)
        if new not in texts:
            texts.append(new)
    return {"person": f"p{number:03}", "name": f"{first} {middle} {last}", "attributes": attributes, "texts": texts}


def text(rng, name, last, attributes, she):
    words = {
        "name": name, "last": last, "date": attributes["birth date"], "city": attributes["birth city"],
        "university": attributes["university"], "major": attributes["major"], "employer": attributes["employer"],
        "they": "she" if she else "he", "They": "She" if she else "He", "their": "her" if she else "his",
        "them": "her" if she else "him",
    }
    middle = [rng.choice(STUDIES), rng.choice(WORK)] + rng.sample(ASIDES, rng.randint(0, 2))
    rng.shuffle(middle)
    return " ".join(sentence.format(**words) for sentence in [rng.choice(OPENINGS), *middle])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--people", type=int, default=48)
    parser.add_argument("--texts", type=int, default=5)
    args = parser.parse_args()
    rng = random.Random(20240404)
    names = ["first_names", "middle_names", "last_names", "cities", "universities", "majors", "employers"]
    pools = {name: lines(name) for name in names}
    for number in range(args.people):
        print(json.dumps(person(rng, number, args.texts, pools)))


main()
