// Tells an element whether it can be seen, so that what cannot be is not drawn. One observer serves the page.

const watchers = new WeakMap<Element, (visible: boolean) => void>();
let observer: IntersectionObserver | null = null;

export function whileVisible(element: Element, tell: (visible: boolean) => void): () => void {
  observer ??= new IntersectionObserver(
    (entries) => {
      for (const entry of entries) watchers.get(entry.target)?.(entry.isIntersecting);
    },
    { rootMargin: '120px' },
  );
  watchers.set(element, tell);
  observer.observe(element);
  return () => {
    observer?.unobserve(element);
    watchers.delete(element);
  };
}
