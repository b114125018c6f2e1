import Button from '@cloudscape-design/components/button';
import Container from '@cloudscape-design/components/container';
import FormField from '@cloudscape-design/components/form-field';
import Header from '@cloudscape-design/components/header';
import Select from '@cloudscape-design/components/select';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';

import { actions } from '../../api/actions';
import type { Instance } from '../../api/client';
import { queries } from '../../api/queries';
import { SIZES } from '../../lib/sizes';
import { t } from '../../strings';
import { useNotify } from '../../ui/Notifications';

/** What can be changed about a workspace after its launch. */
export function InstanceSettings({ instance }: { readonly instance: Instance }) {
  const { data: profiles = [] } = useQuery(queries.idleProfiles);
  const { data: projects = [] } = useQuery(queries.projects);
  const { workspace, state } = instance;
  return (
    <Container header={<Header variant="h2">{t.workspace.tab.settings}</Header>}>
      <SpaceBetween size="l">
        <Choice
          label={t.settings.idle}
          what={t.settings.idleWhat}
          current={instance.idle.profile}
          options={profiles.map((it) => it.name)}
          save={(profile) => actions.configureIdle(workspace, profile, true)}
        />
        <Choice
          label={t.settings.project}
          what={t.settings.projectWhat}
          current={instance.tags['Project'] ?? null}
          options={projects.map((it) => it.name)}
          save={(project) => actions.move(workspace, project)}
        />
        <Choice
          label={t.settings.size}
          what={state === 'stopped' ? t.settings.sizeWhat : t.settings.sizeStopped}
          disabled={state !== 'stopped'}
          current={null}
          options={SIZES}
          save={(size) => actions.resize(workspace, SIZES.find((it) => it === size) ?? 'M')}
        />
        <Choice
          label={t.settings.restart}
          what={t.settings.restartWhat}
          current={instance.restart === true ? t.yes : t.no}
          options={[t.yes, t.no]}
          save={(answer) => actions.setRestart(workspace, answer === t.yes)}
        />
      </SpaceBetween>
    </Container>
  );
}

function Choice({
  label,
  what,
  current,
  options,
  save,
  disabled = false,
}: {
  readonly label: string;
  readonly what: string;
  readonly current: string | null;
  readonly options: readonly string[];
  readonly save: (value: string) => Promise<unknown>;
  readonly disabled?: boolean;
}) {
  const { notify, failed } = useNotify();
  const [chosen, setChosen] = useState<string | null>(null);
  const value = chosen ?? current;
  const apply = async () => {
    if (chosen === null) return;
    try {
      await save(chosen);
      notify({ type: 'success', header: t.settings.saved(label, chosen) });
      setChosen(null);
    } catch (error) {
      failed(label, error as Error);
    }
  };
  return (
    <FormField
      label={label}
      description={what}
      secondaryControl={
        <Button
          disabled={disabled || chosen === null || chosen === current}
          ariaLabel={t.settings.apply(label)}
          onClick={() => void apply()}
        >
          {t.save}
        </Button>
      }
    >
      <Select
        disabled={disabled}
        selectedOption={value === null ? null : { value, label: value }}
        options={options.map((it) => ({ value: it, label: it }))}
        placeholder={t.settings.choose}
        empty={t.settings.nothing}
        onChange={({ detail }) => setChosen(detail.selectedOption.value ?? null)}
      />
    </FormField>
  );
}
