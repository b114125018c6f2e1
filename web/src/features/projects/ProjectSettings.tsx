import Container from '@cloudscape-design/components/container';
import Button from '@cloudscape-design/components/button';
import FormField from '@cloudscape-design/components/form-field';
import Header from '@cloudscape-design/components/header';
import Input from '@cloudscape-design/components/input';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useState } from 'react';

import { actions } from '../../api/actions';
import type { Schemas } from '../../api/client';
import { t } from '../../strings';
import { useNotify } from '../../ui/Notifications';

type Project = Schemas['ProjectShown'];
const FIELDS = ['cap', 'alert', 'hibernate', 'prevent'] as const;
type Name = (typeof FIELDS)[number];

const text = (value: number | null) => (value === null ? '' : String(value));
const given = (value: string) => (value === '' ? null : Number(value));

/** The cap of a project and its thresholds. */
export function ProjectSettings({ project }: { readonly project: Project }) {
  const { budget } = project;
  const now: Record<Name, string> = {
    cap: text(budget.total_allocated),
    alert: text(budget.alert_threshold),
    hibernate: text(budget.auto_hibernate_threshold),
    prevent: text(budget.prevent_launch_threshold),
  };
  const [typed, setTyped] = useState<Partial<Record<Name, string>>>({});
  const { notify, failed } = useNotify();
  const values = { ...now, ...typed };
  const save = async () => {
    const changed = {
      ...(typed.cap === undefined ? {} : { total_allocated: given(typed.cap) }),
      ...(typed.alert === undefined ? {} : { alert_threshold: Number(typed.alert) }),
      ...(typed.hibernate === undefined
        ? {}
        : { auto_hibernate_threshold: given(typed.hibernate) }),
      ...(typed.prevent === undefined ? {} : { prevent_launch_threshold: Number(typed.prevent) }),
    };
    try {
      await actions.changeProject(project.id, { budget: changed });
      setTyped({});
      notify({ type: 'success', header: t.money.saved(project.name) });
    } catch (error) {
      failed(project.name, error as Error);
    }
  };
  return (
    <Container header={<Header variant="h2">{t.money.tab.settings}</Header>}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void save();
        }}
      >
        <SpaceBetween size="m">
          {FIELDS.map((name) => (
            <FormField
              key={name}
              label={t.money.limits[name].label}
              description={t.money.limits[name].what}
            >
              <Input
                type="number"
                step="any"
                value={values[name]}
                onChange={({ detail }) =>
                  setTyped((before) => ({ ...before, [name]: detail.value }))
                }
              />
            </FormField>
          ))}
          <Button disabled={Object.keys(typed).length === 0}>{t.save}</Button>
        </SpaceBetween>
      </form>
    </Container>
  );
}
