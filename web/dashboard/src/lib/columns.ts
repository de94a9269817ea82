// Time-ordered columns of numbers with a fixed capacity: what charts draw from. Rows are held in typed arrays of twice the
// capacity and slide to the front when these are full, so a push costs nothing worth naming, a view is contiguous, and the
// heap stays flat however long a page is open. NaN stands for "no value". Left out: what the columns mean.

/** Rows from elsewhere, in any order; `columns` are as long as `t`. */
export interface Rows {
  t: ArrayLike<number>;
  columns: ArrayLike<number | null>[];
}

export class Columns {
  readonly width: number;
  readonly capacity: number;
  #t: Float64Array;
  #columns: Float64Array[];
  #start = 0;
  #end = 0;

  constructor(width: number, capacity: number) {
    this.width = width;
    this.capacity = capacity;
    this.#t = new Float64Array(2 * capacity);
    this.#columns = Array.from({ length: width }, () => new Float64Array(2 * capacity));
  }

  get length(): number {
    return this.#end - this.#start;
  }

  /** The time of a row, in epoch milliseconds; NaN where there is none. */
  at(row: number): number {
    return row >= 0 && row < this.length ? this.#t[this.#start + row] : NaN;
  }

  value(row: number, column: number): number {
    return row >= 0 && row < this.length ? this.#columns[column][this.#start + row] : NaN;
  }

  get first(): number {
    return this.at(0);
  }

  get last(): number {
    return this.at(this.length - 1);
  }

  /** A view of the times, good until the next change. */
  times(): Float64Array {
    return this.#t.subarray(this.#start, this.#end);
  }

  /** A view of a column, good until the next change. */
  column(index: number): Float64Array {
    return this.#columns[index].subarray(this.#start, this.#end);
  }

  /** The first row at or after a time; `length` if there is none. */
  lowerBound(t: number): number {
    let low = this.#start;
    let high = this.#end;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#t[middle] < t) low = middle + 1;
      else high = middle;
    }
    return low - this.#start;
  }

  /** The last row at or before a time; -1 if there is none. */
  rowAt(t: number): number {
    const row = this.lowerBound(t);
    return row < this.length && this.at(row) === t ? row : row - 1;
  }

  /**
   * Adds rows. A time that is already there keeps what it has, and gets what it lacks: a reading may come in parts. Rows older
   * than a full buffer's are dropped.
   */
  add(rows: Rows): void {
    const { t } = rows;
    if (t.length === 1 && t[0] === this.last) return this.#fill(this.#end - 1, rows, 0);
    let ordered = true;
    for (let i = 0; i < t.length; i++) {
      if (!(t[i] > (i > 0 ? t[i - 1] : this.length > 0 ? this.last : -Infinity))) ordered = false;
    }
    if (ordered) {
      for (let i = 0; i < t.length; i++) this.#append(rows, i);
    } else {
      this.#merge(rows);
    }
  }

  #append(rows: Rows, from: number): void {
    if (this.#end === this.#t.length) {
      // Full to the end: slide the newest rows, one place short of the capacity, to the front.
      const keep = this.capacity - 1;
      this.#t.copyWithin(0, this.#end - keep, this.#end);
      for (const column of this.#columns) column.copyWithin(0, this.#end - keep, this.#end);
      this.#start = 0;
      this.#end = keep;
    }
    this.#t[this.#end] = rows.t[from];
    for (let c = 0; c < this.width; c++) this.#columns[c][this.#end] = rows.columns[c][from] ?? NaN;
    this.#end++;
    if (this.length > this.capacity) this.#start++;
  }

  #fill(place: number, rows: Rows, from: number): void {
    for (let c = 0; c < this.width; c++) {
      if (isNaN(this.#columns[c][place])) this.#columns[c][place] = rows.columns[c][from] ?? NaN;
    }
  }

  /** The rare way: history before, or a late row in between. */
  #merge(rows: Rows): void {
    const order = Array.from({ length: rows.t.length }, (_, i) => i).sort((a, b) => rows.t[a] - rows.t[b]);
    const old = { t: this.times().slice(), columns: this.#columns.map((_, c) => this.column(c).slice()) };
    this.#start = this.#end = 0;
    let i = 0;
    for (const row of order) {
      const t = rows.t[row];
      for (; i < old.t.length && old.t[i] <= t; i++) this.#append(old, i);
      if (this.length === 0 || this.last < t) this.#append(rows, row);
      else if (this.last === t) this.#fill(this.#end - 1, rows, row);
    }
    for (; i < old.t.length; i++) this.#append(old, i);
  }
}
