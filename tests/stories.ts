/** Short texts of the kind that the golden stories260K model was trained on. */
export const STORIES: readonly string[] = [
  "Once upon a time, there was a little boy named Tim. He had a big red ball. " +
  "One day, Tim saw a dog in the park. The dog was sad because it had no ball. " +
  "Tim wanted to help, so they played together all day.",
  "Lily went to the park with her mom. She saw a big tree and wanted to climb " +
  'it. "Be careful," said her mom. Lily climbed up very high. Then she got ' +
  "scared and started to cry. Her mom helped her come down.",
  "There was a small cat who lived in an old house. Every morning the cat " +
  "looked out of the window to see the birds. One morning a bird came inside. " +
  "The cat and the bird became friends.",
  "Ben liked to eat soup. His grandma made the best soup in the village.",
  "The end.",
];
