// The colour theme: that of the system, or the user's choice, which is stored in the browser.

export type ThemeChoice = 'system' | 'light' | 'dark';

const STORAGE_KEY = 'volute-theme';
const CHOICES: ThemeChoice[] = ['system', 'light', 'dark'];

class Theme {
  choice = $state<ThemeChoice>(storedChoice());
  /** Incremented with each change of the colours; charts repaint. */
  version = $state(0);

  constructor() {
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.version++);
  }

  choose(choice: ThemeChoice): void {
    this.choice = choice;
    try {
      localStorage.setItem(STORAGE_KEY, choice);
    } catch {
      // Without storage the choice lasts until the page is reloaded.
    }
    this.apply();
  }

  next(): void {
    this.choose(CHOICES[(CHOICES.indexOf(this.choice) + 1) % CHOICES.length]);
  }

  apply(): void {
    if (this.choice === 'system') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = this.choice;
    this.version++;
  }
}

function storedChoice(): ThemeChoice {
  try {
    return CHOICES.find((choice) => choice === localStorage.getItem(STORAGE_KEY)) ?? 'system';
  } catch {
    return 'system';
  }
}

export const theme = new Theme();
