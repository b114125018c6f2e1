import { applyDensity, applyMode, Density, Mode } from '@cloudscape-design/global-styles';
import { useSyncExternalStore } from 'react';

import { keepSetting } from './settings';

export const THEMES = ['auto', 'light', 'dark'] as const;
export type Theme = (typeof THEMES)[number];
export const DENSITIES = ['comfortable', 'compact'] as const;
export type DensityName = (typeof DENSITIES)[number];

const dark = window.matchMedia('(prefers-color-scheme: dark)');

function stored<T extends string>(key: string, known: readonly T[], otherwise: T): T {
  const value = localStorage.getItem(key);
  return known.find((it) => it === value) ?? otherwise;
}

function theme(): Theme {
  return stored('theme', THEMES, 'auto');
}

function density(): DensityName {
  return stored('density', DENSITIES, 'comfortable');
}

/** Choose a theme or a density by its name. */
export function choose(name: string): void {
  const isTheme = THEMES.some((it) => it === name);
  keepSetting(isTheme ? 'theme' : 'density', name);
  apply();
}

/** Whether the page is dark now. */
function isDark(): boolean {
  const chosen = theme();
  return chosen === 'dark' || (chosen === 'auto' && dark.matches);
}

const watchers = new Set<() => void>();
let look = { theme: theme(), density: density() };

/** Whatever was chosen last, here, elsewhere on the page or in another tab. */
export function useLook(): { readonly theme: Theme; readonly density: DensityName } {
  return useSyncExternalStore(watch, () => look);
}

function watch(changed: () => void): () => void {
  watchers.add(changed);
  return () => watchers.delete(changed);
}

function apply(): void {
  look = { theme: theme(), density: density() };
  for (const changed of watchers) changed();
  applyMode(isDark() ? Mode.Dark : Mode.Light);
  applyDensity(density() === 'compact' ? Density.Compact : Density.Comfortable);
  document.documentElement.style.colorScheme = isDark() ? 'dark' : 'light';
}

/** Apply what was chosen before, and follow the system where nothing was. */
export function applyAppearance(): void {
  apply();
  dark.addEventListener('change', apply);
  window.addEventListener('storage', apply); // another tab chose
}
