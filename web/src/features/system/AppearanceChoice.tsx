import Container from '@cloudscape-design/components/container';
import FormField from '@cloudscape-design/components/form-field';
import Header from '@cloudscape-design/components/header';
import SegmentedControl from '@cloudscape-design/components/segmented-control';
import SpaceBetween from '@cloudscape-design/components/space-between';

import { choose, DENSITIES, THEMES, useLook } from '../../lib/appearance';
import { t } from '../../strings';

/** How the GUI looks in this browser. */
export function AppearanceChoice() {
  const look = useLook();
  return (
    <Container header={<Header variant="h2">{t.appearance.title}</Header>}>
      <SpaceBetween size="m">
        <FormField label={t.appearance.theme}>
          <SegmentedControl
            label={t.appearance.theme}
            selectedId={look.theme}
            options={THEMES.map((id) => ({ id, text: t.appearance.themes[id] }))}
            onChange={({ detail }) => choose(detail.selectedId)}
          />
        </FormField>
        <FormField label={t.appearance.density}>
          <SegmentedControl
            label={t.appearance.density}
            selectedId={look.density}
            options={DENSITIES.map((id) => ({ id, text: t.appearance.densities[id] }))}
            onChange={({ detail }) => choose(detail.selectedId)}
          />
        </FormField>
      </SpaceBetween>
    </Container>
  );
}
