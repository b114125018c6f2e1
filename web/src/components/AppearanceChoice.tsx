import Container from '@cloudscape-design/components/container';
import FormField from '@cloudscape-design/components/form-field';
import Header from '@cloudscape-design/components/header';
import SegmentedControl from '@cloudscape-design/components/segmented-control';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useState } from 'react';

import { DENSITIES, density, setDensity, setTheme, theme, THEMES } from '../lib/appearance';
import { t } from '../strings';

/** How the GUI looks in this browser. */
export function AppearanceChoice() {
  const [, redraw] = useState(0);
  const choose = (id: string) => {
    const chosenTheme = THEMES.find((it) => it === id);
    const chosenDensity = DENSITIES.find((it) => it === id);
    if (chosenTheme !== undefined) setTheme(chosenTheme);
    if (chosenDensity !== undefined) setDensity(chosenDensity);
    redraw((count) => count + 1);
  };
  return (
    <Container header={<Header variant="h2">{t.appearance.title}</Header>}>
      <SpaceBetween size="m">
        <FormField label={t.appearance.theme}>
          <SegmentedControl
            label={t.appearance.theme}
            selectedId={theme()}
            options={THEMES.map((id) => ({ id, text: t.appearance.themes[id] }))}
            onChange={({ detail }) => choose(detail.selectedId)}
          />
        </FormField>
        <FormField label={t.appearance.density}>
          <SegmentedControl
            label={t.appearance.density}
            selectedId={density()}
            options={DENSITIES.map((id) => ({ id, text: t.appearance.densities[id] }))}
            onChange={({ detail }) => choose(detail.selectedId)}
          />
        </FormField>
      </SpaceBetween>
    </Container>
  );
}
