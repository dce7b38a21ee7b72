// Expressions over `struct mine *m` and `int i`. The traced program evaluates them as C does; the probe evaluates them by
// reading that program's memory. PUT(number, value) keeps the results.
{
	struct mine copy = *m;
	struct mine *to_copy = &copy;
	struct inner in = m->next->in;
	const char *str = m->str;
	const int *arr = m->arr;

	PUT(0, m->x);
	PUT(1, m->s);
	PUT(2, m->u);
	PUT(3, m->w);
	PUT(4, m->next->s);
	PUT(5, m->next->next->x);
	PUT(6, m->anb);
	PUT(7, m->yes + m->color);
	PUT(8, m->packed.unaligned);
	PUT(9, copy.x + to_copy->s);
	PUT(10, copy.ip->a + to_copy->next->u);
	PUT(11, in.a + in.tag[1]);
	PUT(12, str[1] + *str + *(str + 2) + copy.str[i & 3]);
	PUT(13, arr[1] + arr[i & 3]);
}
{
	struct mine **to_pointer = &m;
	struct inner *pair = &m->ins[i & 1];
	unsigned long raw = (unsigned long)m->next;
	const int *to_x = &m->next->x;

	PUT(20, (*m).s + (*m->ip).a + (&m->in)->a + *&m->x);
	PUT(21, m->arr[2] + m->arr[i & 3]);
	PUT(22, m->ins[1].a + m->ins[i & 1].tag[3]);
	PUT(23, m->ips[1]->a + m->ips[i & 1]->tag[i & 7]);
	PUT(24, m->uc[0] + (m->uc[i & 3] << 8));
	PUT(25, (*to_pointer)->s + to_pointer[0]->next->anb);
	PUT(26, pair->a + pair->tag[0]);
	PUT(27, ((struct mine *)raw)->s + ((struct mine *)raw)->ip->a);
	PUT(28, *to_x + (m->x > 3 ? m->next->x : m->ip->a) + (m->ui ?: m->x));
	PUT(29, sizeof(m->next->arr) + __builtin_offsetof(struct mine, in.a));
}
