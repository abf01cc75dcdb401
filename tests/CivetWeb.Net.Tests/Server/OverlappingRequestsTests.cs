using System.Linq;
using System.Net.Http;
using System.Threading.Tasks;
using NUnit.Framework;

namespace CivetWeb.Net.Tests;

/// <summary>Requests that are handled at the same time.</summary>
public sealed class OverlappingRequestsTests
{
    [TestCase("012")]
    [TestCase("021")]
    [TestCase("102")]
    [TestCase("120")]
    [TestCase("201")]
    [TestCase("210")]
    public async Task All_are_answered_in_whatever_order_their_handlers_end(string order)
    {
        TaskCompletionSource[] begun = [.. order.Select(_ => new TaskCompletionSource())];
        TaskCompletionSource[] free = [.. order.Select(_ => new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously))];
        await using RunningServer server = await RunningServer.StartAsync(server => server.MapGet("/{index}", async (request, response) =>
        {
            int index = int.Parse(request.Route["index"], System.Globalization.CultureInfo.InvariantCulture);
            begun[index].SetResult();
            await free[index].Task;
            response.WriteText($"answer {index}");
        }));
        var answers = new Task<string>[order.Length];
        for (int i = 0; i < answers.Length; i++)
        {
            answers[i] = server.Client.GetStringAsync(server.Uri($"/{i}"));
            await begun[i].Task.WaitAsync(TestServer.Patience);
        }

        foreach (int index in order.Select(digit => digit - '0'))
        {
            free[index].SetResult();
            Assert.That(await answers[index].WaitAsync(TestServer.Patience), Is.EqualTo($"answer {index}"));
        }
    }
}
