// A QR code as one path of an SVG. Pure; lean-qr computes the code.

import { generate } from 'lean-qr';

export interface QrCode {
  /** The number of modules of a side, without the quiet zone. */
  size: number;
  /** The path of the dark modules: each is 1 × 1. */
  path: string;
}

export function qrCode(text: string): QrCode {
  const code = generate(text);
  let path = '';
  for (let y = 0; y < code.size; y++) {
    for (let x = 0; x < code.size; ) {
      let end = x;
      while (end < code.size && code.get(end, y)) end++;
      if (end > x) path += `M${x} ${y}h${end - x}v1h${x - end}z`;
      x = end + 1;
    }
  }
  return { size: code.size, path };
}
