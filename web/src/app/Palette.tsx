import Autosuggest, { type AutosuggestProps } from '@cloudscape-design/components/autosuggest';
import Modal from '@cloudscape-design/components/modal';
import { useQuery } from '@tanstack/react-query';
import { useEffect, useRef, useState } from 'react';
import { useNavigate } from 'react-router';

import { LIFECYCLE } from '../api/actions';
import { queries } from '../api/queries';
import { usable } from '../lib/order';
import { allows } from '../lib/states';
import { useVerbs } from '../lib/useVerbs';
import { t } from '../strings';
import { NAVIGATION } from './routes';

const MOST = 200; // workspaces; beyond them the list of workspaces is the better place to look

/** Finds pages, workspaces and actions by what you type. */
export default function Palette({ close }: { readonly close: () => void }) {
  const navigate = useNavigate();
  const run = useVerbs();
  const [text, setText] = useState('');
  const input = useRef<AutosuggestProps.Ref>(null);
  const { data: instances = [] } = useQuery(queries.instances);
  const { data: templates = [] } = useQuery(queries.templates);
  const { data: profile } = useQuery(queries.profile);
  useEffect(() => {
    // After the dialog, which gives the focus to its first button.
    const soon = requestAnimationFrame(() => input.current?.focus());
    return () => cancelAnimationFrame(soon);
  }, []);
  const living = instances.filter((it) => it.state !== 'terminated').slice(0, MOST);
  const options: AutosuggestProps.OptionGroup[] = [
    {
      label: t.palette.pages,
      options: [...NAVIGATION, { text: t.pages.launch, href: '/launch' }].map((it) => ({
        value: `go ${it.href}`,
        label: it.text,
      })),
    },
    {
      label: t.palette.workspaces,
      options: living.map((it) => ({
        value: `go /workspaces/${it.name}`,
        label: it.name,
        description: t.states[it.state],
      })),
    },
    {
      label: t.palette.actions,
      options: living.flatMap((it) =>
        LIFECYCLE.filter((verb) => allows(it, verb)).map((verb) => ({
          value: `${verb} ${it.workspace}`,
          label: t.palette.verb(verb, it.name),
        })),
      ),
    },
    {
      label: t.palette.launch,
      options: templates
        .filter((it) => profile !== undefined && usable(it, profile.provider))
        .map((it) => ({
          value: `go /launch?template=${encodeURIComponent(it.slug)}`,
          label: t.palette.launchOf(it.name),
        })),
    },
  ];
  const choose = (value: string) => {
    const [word = '', object = ''] = value.split(/ (.*)/);
    const verb = LIFECYCLE.find((it) => it === word);
    if (verb !== undefined) {
      void run(
        verb,
        living.filter((it) => it.workspace === object),
      );
    } else if (word === 'go' && object !== '') void navigate(object);
    else return;
    close();
  };
  return (
    <Modal visible header={t.palette.title} onDismiss={close} closeAriaLabel={t.close}>
      <Autosuggest
        ref={input}
        value={text}
        options={options}
        placeholder={t.palette.placeholder}
        ariaLabel={t.palette.title}
        empty={t.palette.nothing}
        enteredTextLabel={() => t.palette.nothing}
        hideEnteredTextOption
        onChange={({ detail }) => setText(detail.value)}
        onSelect={({ detail }) => choose(detail.value)}
      />
    </Modal>
  );
}
