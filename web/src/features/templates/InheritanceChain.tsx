import Box from '@cloudscape-design/components/box';

const ARROW = ' → ';

/** From whom a template inherits: each line of descent as a tree, the oldest outermost. */
export function InheritanceChain({ chains }: { readonly chains: readonly string[] }) {
  return chains.map((chain) => <Descent key={chain} names={chain.split(ARROW)} />);
}

function Descent({ names }: { readonly names: readonly string[] }) {
  const [first, ...rest] = names;
  if (first === undefined) return null;
  return (
    <ul>
      <li>
        {rest.length === 0 ? <Box fontWeight="bold">{first}</Box> : first}
        <Descent names={rest} />
      </li>
    </ul>
  );
}
