interface Window {
  /** A hook for bench/run.js. */
  __volute?: {
    /** Called after every draw of a chart, with the newest point that was drawn. */
    onDraw?: (drawn: { chart: string; t: number; value: number | null }) => void;
  };
}
