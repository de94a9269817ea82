interface Window {
  /** For measuring: told of every draw of a live chart, with the newest point that was drawn. */
  __volute?: {
    onDraw?: (drawn: { chart: string; t: number; value: number | null }) => void;
  };
}
