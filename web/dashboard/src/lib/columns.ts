// Time-ordered columns of numbers with a fixed capacity; the charts draw from them. Rows are held in typed arrays of twice the
// capacity, and the newest are copied to the front when the arrays are full. So appending is cheap, a view is contiguous, and the
// heap does not grow however long a page is open. NaN means "no value". An example with a capacity of 10 000 rows:
//
//   rows 1 to 20 000 are appended; `length` is 10 000 from row 10 000 on;
//   row 20 001: the arrays are full; the newest 9 999 rows are copied to the front, and the row is appended.
//
// Does not know what the columns mean; see history.ts.

/** Rows to be added, in any order; each column is as long as `t`. */
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

  /** The time of a row in epoch milliseconds; NaN if there is no such row. */
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

  /** A view of the times, valid until the next change. */
  times(): Float64Array {
    return this.#t.subarray(this.#start, this.#end);
  }

  /** A view of a column, valid until the next change. */
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
   * Adds rows. A time that is already there keeps its values and gets only the missing ones: a reading may arrive in parts. If the
   * capacity is reached, rows older than the oldest are dropped.
   */
  add(rows: Rows): void {
    const { t } = rows;
    if (t.length === 1 && t[0] === this.last) return this.#fillMissing(this.#end - 1, rows, 0);
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
      // The arrays are full: copy the newest rows, one less than the capacity, to the front.
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

  #fillMissing(index: number, rows: Rows, from: number): void {
    for (let c = 0; c < this.width; c++) {
      if (isNaN(this.#columns[c][index])) this.#columns[c][index] = rows.columns[c][from] ?? NaN;
    }
  }

  /** The rare case: history before the first row, or late rows in between. */
  #merge(rows: Rows): void {
    const order = Array.from({ length: rows.t.length }, (_, i) => i).sort((a, b) => rows.t[a] - rows.t[b]);
    const old = { t: this.times().slice(), columns: this.#columns.map((_, c) => this.column(c).slice()) };
    this.#start = this.#end = 0;
    let i = 0;
    for (const row of order) {
      const t = rows.t[row];
      for (; i < old.t.length && old.t[i] <= t; i++) this.#append(old, i);
      if (this.length === 0 || this.last < t) this.#append(rows, row);
      else if (this.last === t) this.#fillMissing(this.#end - 1, rows, row);
    }
    for (; i < old.t.length; i++) this.#append(old, i);
  }
}
