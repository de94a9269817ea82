// Routes paths with the History API. Plain links work, and going back restores the scroll position.

import { parseRoute, type Route } from './route';

class Router {
  route = $state.raw<Route>(parseRoute(location.pathname, location));
  /** The scroll position that the next page restores; 0 for a new one. */
  scrollTo = 0;

  constructor() {
    history.scrollRestoration = 'manual';
    addEventListener('popstate', (event) => this.#show((event.state as { scroll?: number } | null)?.scroll ?? 0));
    addEventListener('click', (event) => this.#onClick(event));
  }

  go(path: string): void {
    history.replaceState({ scroll: scrollY }, '');
    history.pushState(null, '', path);
    this.#show(0);
  }

  /** Shows another page in place of this one: going back does not lead to this one again. */
  replace(path: string): void {
    history.replaceState(null, '', path);
    this.#show(0);
  }

  #show(scroll: number): void {
    this.scrollTo = scroll;
    this.route = parseRoute(location.pathname, location);
  }

  #onClick(event: MouseEvent): void {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) {
      return;
    }
    const link = (event.target as Element | null)?.closest?.('a');
    if (!link || link.target || link.origin !== location.origin || link.hasAttribute('download')) return;
    if (link.hash || parseRoute(link.pathname).page === 'notFound') return;
    event.preventDefault();
    if (link.pathname !== location.pathname) this.go(link.pathname);
  }
}

export const router = new Router();
