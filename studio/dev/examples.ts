/** What the fake server's model can be told. */

export const SETTING = "An orange cat wearing a top hat is in a meadow on a sunny day.";
export const PROMPTS = [
  "Wide shot of the orange cat waving hello.",
  "Close up. The cat looks around.",
  "Medium shot. The orange cat walks along. The camera pans slowly.",
  "In a wide shot, the cat jumps up and down.",
  "Medium shot of the orange cat dancing happily.",
];
const SETTINGS = [
  SETTING,
  "A blue robot with a crown is in a city at night.",
  "A red rabbit with a scarf is in the snow at sunset.",
];
const WORDS = `${[...PROMPTS, ...SETTINGS].join(" ")} a an and are bear beach bunny by close deep does forest green
  hat hop kitten looking medium moon purple sea shot standing still sunglasses the walking waves wide woods yellow`;
export const VOCABULARY = {
  words: [...new Set(WORDS.toLowerCase().match(/[a-z]+/g))].sort(),
  prompts: PROMPTS,
  settings: SETTINGS,
};
